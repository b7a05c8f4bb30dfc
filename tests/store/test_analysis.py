"""The quick way of cutting texts into words finds what the whole one finds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_shipper.store import analysis

SIGNS = st.sampled_from("abZ09__::..'',; -\t\n/@*#\"\x00가힣")
EASY = st.text(SIGNS | st.characters(max_codepoint=127) | st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3))


@given(EASY)
def test_easy_texts_have_the_words_of_the_whole_expression(text: str) -> None:
    assert analysis.EASY.fullmatch(text)
    assert analysis.tokens(text) == list(analysis.analyzer().analyze(text))


@given(st.text(SIGNS | st.characters(exclude_categories=["Cs"])))
def test_no_word_holds_a_blank_at_which_the_writer_would_cut_it(text: str) -> None:
    assert list(analysis.splitter().analyze(analysis.prepared(text))) == analysis.tokens(text)


@pytest.mark.parametrize(("sign", "words"), [("_", 0), ("_ ", 0), ("a.", 1), ("1,", 1), ("가'", 1), ("_a ", 1_000_000)])
def test_a_long_hostile_text_is_cut_in_one_pass(sign: str, words: int) -> None:
    assert len(analysis.EASY_WORD.findall(sign * 1_000_000)) == words
