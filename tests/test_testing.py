"""The test helper gives ECS events and leaves logging as it was."""

import logging

from python_shipper.testing import capture


def test_lines_are_ecs_events_and_masked() -> None:
    with capture() as lines:
        logging.getLogger("shop").warning("account %s", "110-234-567890", extra={"order_id": "o1"})
    (line,) = lines
    assert (line["log.level"], line["message"], line["log"]["logger"]) == ("warning", "account ***7890", "shop")
    assert line["christmas"]["order"]["id"] == "o1"


def test_one_logger_at_a_level() -> None:
    with capture("shop", logging.INFO) as lines:
        logging.getLogger("shop.cart").info("wanted")
        logging.getLogger("shop.cart").debug("too low")
        logging.getLogger("other").error("not asked for")
    assert [line["message"] for line in lines] == ["wanted"]


def test_nothing_stays_behind() -> None:
    root, shop = logging.getLogger(), logging.getLogger("shop")
    before = root.level, list(root.handlers), shop.level, list(shop.handlers)
    with capture(), capture("shop"):
        pass
    assert (root.level, root.handlers, shop.level, shop.handlers) == before
