# encoding: utf-8
# A raw line becomes text and JSON here, with the same strictness as the agent's decode.py.
require "json"

module Shipper
  module Decode
    MAX_BYTES = 10_485_760 # Filebeat's message_max_bytes
    MAX_DEPTH = 500
    # Ruby's parser lets two things pass that JSON forbids: comments, and escapes such as \q. A cheap test looks for
    # their first characters; only then are the strings taken out and the rest looked at.
    DOUBTFUL = %r{/[/*]|\\[^"\\/bfnrtu]}
    STRING = %r{"(?:[^"\\\u0000-\u001f]|\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4})*"}
    OUTSIDE = %r{["\\/]}

    module_function

    # The line without its newline, cut where Filebeat cuts, each invalid byte replaced by U+FFFD.
    def text(line)
      line = line.dup.force_encoding(Encoding::UTF_8) unless line.encoding == Encoding::UTF_8
      line = line.delete_suffix("\n").delete_suffix("\r") if line.end_with?("\n", "\r")
      line = line.byteslice(0, MAX_BYTES) if line.bytesize > MAX_BYTES
      line.valid_encoding? ? line : line.scrub { |bytes| "\uFFFD" * bytes.bytesize }
    end

    # The JSON value, or raises JSON::ParserError. Duplicate keys: the last wins.
    def json(text)
      value = JSON.parse(text, max_nesting: MAX_DEPTH, allow_duplicate_key: true)
      return value unless text.match?(DOUBTFUL) && text.gsub(STRING, "").match?(OUTSIDE)

      raise JSON::ParserError, "a comment or an unknown escape"
    end
  end
end
