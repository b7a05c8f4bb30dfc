# encoding: utf-8
# Whether a JSON value fits a field's type, and in which form it is stored: values.py in Ruby.
module Shipper
  MISFIT = Object.new.freeze

  module Moment
    DAY_MS = 86_400_000
    FIRST_MS = -62_135_596_800_000 # 0001-01-01
    LAST_MS = 253_402_300_799_999 # 9999-12-31
    FORM = /\A([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,18}))?)?(?:Z|([+-])([0-9]{2}):?([0-9]{2}))?\z/.freeze
    MONTHS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].freeze

    module_function

    # Milliseconds since 1970, or nil when the text is no moment.
    def ms(text)
      match = FORM.match(text) or return nil
      year, month, day, hour, minute, second = (1..6).map { |n| match[n].to_i }
      zone = match[9].to_i * 60 + match[10].to_i
      return nil unless date?(year, month, day) && hour < 24 && minute < 60 && second < 60
      return nil unless match[9].to_i < 24 && match[10].to_i < 60

      minutes = days(year, month, day) * 1440 + hour * 60 + minute - (match[8] == "-" ? -zone : zone)
      total = (minutes * 60 + second) * 1000 + match[7].to_s[0, 3].ljust(3, "0").to_i
      total.between?(FIRST_MS, LAST_MS) ? total : nil
    end

    def date?(year, month, day)
      year.positive? && month.between?(1, 12) && day.between?(1, month_days(year, month))
    end

    def month_days(year, month)
      leap = (year % 4).zero? && (year % 100 != 0 || (year % 400).zero?)
      month == 2 && leap ? 29 : MONTHS[month - 1]
    end

    # Days since 1970-01-01 in the Gregorian calendar, the year counted from March.
    def days(year, month, day)
      year -= 1 if month < 3
      from_march = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
      365 * year + year / 4 - year / 100 + year / 400 + from_march - 719_468
    end

    def text(milliseconds)
      seconds, rest = milliseconds.divmod(1000)
      format("%s.%03dZ", Time.at(seconds).utc.strftime("%Y-%m-%dT%H:%M:%S"), rest)
    end
  end

  module Values
    LONG = (-(2**63)..(2**63 - 1)).freeze
    WHOLE_TEXT = /\A(-?[0-9]{1,18})(?:\.0{1,18})?\z/.freeze
    NUMBER_TEXT = /\A-?[0-9]{1,15}(?:\.[0-9]{1,15})?\z/.freeze
    OCTET = /25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9]/.freeze
    IPV4 = /\A(?:#{OCTET})(?:\.(?:#{OCTET})){3}\z/.freeze
    FLOAT = /\A(-?)([0-9]+)\.([0-9]+)(?:e([+-]?[0-9]+))?\z/i.freeze
    HEX_GROUP = /\A[0-9A-Fa-f]{1,4}\z/.freeze

    module_function

    # A scalar's text, numbers as Python and JSON write them; MISFIT for objects and lists.
    def text(value)
      case value
      when String then value
      when true, false, Integer then value.to_s
      when Float then float_text(value + 0.0)
      else MISFIT
      end
    end

    # As Python writes it, whatever this Ruby does: an exponent below 1e-4 and from 1e16 on.
    def float_text(value)
      sign, whole, fraction, exponent = value.to_s.match(FLOAT)&.captures
      return value.to_s unless whole # the infinities

      digits = (whole + fraction).sub(/\A0+/, "")
      point = digits.length - fraction.length + exponent.to_i
      digits.empty? ? "0.0" : sign + placed(*fewest(value.abs, point))
    end

    # The fewest digits that no other number has: of 1e23, 5e-324 and 8.678914412312191e19 JRuby writes others.
    def fewest(value, point)
      exact = value.to_r
      17.downto(1).reduce(nil) do |found, count|
        nearest = (exact * Rational(10)**(count - point)).round(half: :even)
        return found unless "#{nearest}e#{point - count}".to_f == value

        [nearest.to_s.sub(/0+\z/, ""), point + nearest.to_s.length - count]
      end
    end

    # `digits` with the decimal point behind the first `point` of them.
    def placed(digits, point)
      return "#{digits[0]}#{".#{digits[1..]}" if digits[1]}#{format('e%+03d', point - 1)}" if point > 16 || point < -3
      return "0.#{'0' * -point}#{digits}" if point <= 0
      return "#{digits.ljust(point, '0')}.0" if digits.length <= point

      "#{digits[0, point]}.#{digits[point..]}"
    end

    def keyword(value, most)
      text = text(value)
      text.equal?(MISFIT) || text.length <= most ? text : MISFIT
    end

    def long(value)
      value = WHOLE_TEXT.match(value)&.[](1)&.to_i if value.is_a?(String)
      return MISFIT unless value.is_a?(Integer) || (value.is_a?(Float) && value.finite? && value == value.floor)

      LONG.cover?(value.to_i) ? value.to_i : MISFIT
    end

    def double(value)
      return NUMBER_TEXT.match?(value) ? value.to_f : MISFIT if value.is_a?(String)
      return MISFIT unless value.is_a?(Numeric)
      return value if value.is_a?(Integer) && LONG.cover?(value)

      value.to_f.finite? ? value.to_f : MISFIT
    end

    def boolean(value)
      case value
      when true, "true" then true
      when false, "false" then false
      else MISFIT
      end
    end

    def ip(value)
      value.is_a?(String) && (IPV4.match?(value) || ipv6?(value)) ? value : MISFIT
    end

    def ipv6?(text)
      return false unless text.include?(":")

      tail = text.rpartition(":").last
      text = text.delete_suffix(tail) + (IPV4.match?(tail) ? "0:0" : "bad") if tail.include?(".")
      halves = text.split("::", -1)
      groups = halves.flat_map { |half| half.split(":", -1) }
      groups.all? { |group| HEX_GROUP.match?(group) } && halves.length <= 2 &&
        (halves.length == 2 ? groups.length <= 7 : groups.length == 8)
    end

    def date(value)
      ms = value.is_a?(String) ? Moment.ms(value) : nil
      ms ? Moment.text(ms) : MISFIT
    end

    # A number times `scale`, rounded to the nearest integer (halves up).
    def scaled(value, scale)
      return value * scale if value.is_a?(Integer)

      value.is_a?(Float) && (value * scale).finite? ? (value * scale + 0.5).floor : MISFIT
    end

    # The value as `field` stores it, or MISFIT.
    def fitted(field, value, contract)
      return one(field.type, value, contract) unless field.array

      items = (value.is_a?(Array) ? value : [value]).map { |item| one(field.type, item, contract) }
      items.any? { |item| item.equal?(MISFIT) } ? MISFIT : items
    end

    def one(type, value, contract)
      case type
      when "keyword" then keyword(value, contract.keyword_characters)
      when "match_only_text", "wildcard" then text(value)
      else send(type, value)
      end
    end
  end
end
