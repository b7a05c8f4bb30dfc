# encoding: utf-8
# Personal data and secrets are replaced by the rules of masking.yml: core/masking.py in Ruby. Masking twice changes
# nothing more.
require "digest"
require "openssl"
require_relative "pretest"
require_relative "values"

module Shipper
  module Checks
    RRN_WEIGHTS = [2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5].freeze

    module_function

    def luhn(text)
      digits = text.scan(/[0-9]/).map(&:to_i).reverse
      total = digits.each_with_index.sum { |digit, n| n.odd? ? (digit * 2).digits.sum : digit }
      digits.length > 1 && (total % 10).zero?
    end

    def rrn(text)
      digits = text.scan(/[0-9]/).map(&:to_i)
      return false unless digits.length == 13

      total = RRN_WEIGHTS.each_with_index.sum { |weight, n| digits[n] * weight }
      ((digits[6] < 5 ? 11 : 13) - total % 11) % 10 == digits[12]
    end

    def iban(text)
      compact = text.delete(" ")
      return false unless compact.length >= 15 && compact.match?(/\A[0-9A-Za-z]+\z/)

      (compact[4..] + compact[0, 4]).chars.map { |c| c.to_i(36) }.join.to_i % 97 == 1
    end
  end

  Pattern = Struct.new(:regex, :pretest, :group, :check, :action)

  class Masker
    MASKED = /\A(?:\*\*\*.{0,4}|hmac:[0-9a-f]{8}:[0-9a-f]{32}|\[dropped\])\z/m.freeze
    LEAST_INTEGER = 10**11 # 12 digits
    LEAST_KEY_BYTES = 16
    REMEMBERED = 2048

    def initialize(rules, key_file)
      @hash_key = key(key_file.to_s)
      @key_id = @hash_key && Digest::SHA256.hexdigest(@hash_key)[0, 8]
      @keys = rules.flat_map { |rule| (rule["keys"] || []).map { |name| [words(name), action_of(rule)] } }
      @patterns = rules.flat_map { |rule| (rule["patterns"] || []).map { |pattern| compiled(rule, pattern) } }
      @actions = {}
    end

    # All patterns in order, and again until nothing changes: what one left may be what another wants.
    def text(text)
      loop do
        masked = once(text)
        return masked if masked == text

        text = masked
      end
    end

    def once(text)
      return text if masked?(text)

      shape = Pretest::Shape.of(text)
      @patterns.each do |pattern|
        next unless pattern.pretest.met?(text, shape) && pattern.regex.match?(text)

        text = applied(pattern, text)
        shape = Pretest::Shape.of(text)
      end
      text
    end

    # A JSON value found under `key`: by the key's name, or leaf by leaf by patterns and the names inside it.
    def value(key, value)
      action = action(key)
      return treated(value, action) if action

      case value
      when String then text(value)
      when Hash then value.to_h { |name, item| [name, value(name, item)] }
      when Array then value.map { |item| value("", item) }
      when Integer then number(value)
      else value
      end
    end

    def words(key)
      key.gsub(/([a-z0-9])([A-Z])/, '\1_\2').downcase.gsub(/[^a-z0-9가-힣]+/, "_").gsub(/\A_+|_+\z/, "")
    end

    private

    def masked?(text)
      (text.start_with?("***", "hmac:", "[d")) && text.match?(MASKED)
    end

    def applied(pattern, text)
      text.gsub(pattern.regex) do |whole|
        match = Regexp.last_match
        found = match[pattern.group]
        next whole if masked?(found) || (pattern.check && !Checks.send(pattern.check, found))

        at = match.begin(pattern.group) - match.begin(0)
        whole[0, at] + pattern.action.call(found) + whole[(at + found.length)..]
      end
    end

    # Replaced as a whole, never changed, so that Logstash's worker threads share it without a lock.
    def action(key)
      return @actions[key] if @actions.key?(key)

      name = words(key)
      _, found = @keys.find { |known, _| name == known || name.end_with?("_#{known}") }
      @actions = @actions.length < REMEMBERED ? @actions.merge(key => found) : { key => found }
      found
    end

    def treated(value, action)
      case value
      when Hash then value.transform_values { |item| treated(item, action) }
      when Array then value.map { |item| treated(item, action) }
      when nil, true, false then value
      else
        text = Values.text(value)
        text.empty? || masked?(text) ? text : action.call(text)
      end
    end

    def number(value)
      return value if value.abs < LEAST_INTEGER

      masked = text(value.to_s)
      masked == value.to_s ? value : masked
    end

    def compiled(rule, pattern)
      group = Regexp.new("#{pattern}|").match("").captures.empty? ? 0 : 1
      Pattern.new(Regexp.new(pattern), Pretest.new(pattern), group, rule["check"], action_of(rule))
    end

    def action_of(rule)
      case rule.fetch("action")
      when "mask" then ->(text) { "***#{text[-4..] if text.length >= 8}" }
      when "drop" then ->(_) { "[dropped]" }
      when "hash" then hashing(rule)
      else raise "masking.yml: rule #{rule['name']}: no action #{rule['action']}"
      end
    end

    def hashing(rule)
      raise "masking rule #{rule['name']}: action hash needs a key; set LOG_HASH_KEY_FILE" unless @hash_key

      lambda do |text|
        plain = text.downcase.delete(" -")
        "hmac:#{@key_id}:#{OpenSSL::HMAC.hexdigest('SHA256', @hash_key, plain)[0, 32]}"
      end
    end

    def key(path)
      return nil if path.empty?

      key = File.binread(path).gsub(/\A[ \t\n\v\f\r]+|[ \t\n\v\f\r]+\z/n, "")
      raise "LOG_HASH_KEY_FILE: #{path} holds #{key.bytesize} bytes, at least 16 are needed" if key.bytesize < LEAST_KEY_BYTES

      key
    end
  end
end
