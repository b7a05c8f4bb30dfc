# encoding: utf-8
# A raw line becomes text and JSON here, with the same strictness as the agent's decode.py.
require "json"

module Shipper
  module Decode
    MAX_BYTES = 10_485_760 # Filebeat's message_max_bytes
    MAX_DEPTH = 500
    RETURN = 13 # \r
    # Ruby's parser lets two things pass that JSON forbids: comments, and escapes such as \q. A cheap test looks for
    # their first characters; only then are the strings taken out and the rest looked at.
    DOUBTFUL = %r{/[/*]|\\[^"\\/bfnrtu]}
    STRING = %r{"(?:[^"\\\u0000-\u001f]|\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4})*"}
    OUTSIDE = %r{["\\/]}
    # Half a surrogate pair is no character, and each JSON parser makes something else of it: U+FFFD, before they see it.
    HALF = /\\u[dD][89a-fA-F]/
    ESCAPE = /\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)/m
    ESCAPE_CHARACTERS = 6

    module_function

    # The line without its end (every \r of it: Filebeat has taken one already), cut where Filebeat cuts, each invalid
    # byte replaced by U+FFFD.
    def text(line)
      line = line.dup.force_encoding(Encoding::UTF_8) unless line.encoding == Encoding::UTF_8
      line = line.delete_suffix("\n")
      size = line.bytesize
      size -= 1 while size.positive? && line.getbyte(size - 1) == RETURN
      line = line.byteslice(0, [size, MAX_BYTES].min) if size < line.bytesize || size > MAX_BYTES
      line.valid_encoding? ? line : line.scrub { |bytes| "\uFFFD" * bytes.bytesize }
    end

    # The JSON value, or raises JSON::ParserError. Duplicate keys: the last wins.
    def json(text)
      text = text.gsub(ESCAPE) { |escape| whole(escape) } if text.match?(HALF)
      value = JSON.parse(text, max_nesting: MAX_DEPTH, allow_duplicate_key: true)
      return value unless text.match?(DOUBTFUL) && text.gsub(STRING, "").match?(OUTSIDE)

      raise JSON::ParserError, "a comment or an unknown escape"
    end

    # The escape itself, or that of U+FFFD for half a pair.
    def whole(escape)
      escape.length == ESCAPE_CHARACTERS ? "\\ufffd" : escape
    end
  end
end
