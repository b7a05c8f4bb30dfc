# encoding: utf-8
# Ids, names and the clock: core/ulid.py, core/names.py and core/clock.py in Ruby.
require "digest"
require "time"
require_relative "values"

module Shipper
  Source = Struct.new(:path, :fingerprint, :offset)

  module Ids
    ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ".freeze
    ULID = /\A[0-7][0-9A-HJKMNP-TV-Z]{25}\z/.freeze
    MOST_MS = 2**48 - 1

    module_function

    def ulid?(text)
      text.is_a?(String) && ULID.match?(text)
    end

    # The id of a line without one: the time `ms` and a hash of where it stands and what it says; without time, all hash.
    def hashed(source, text, ms)
      file = source.fingerprint.empty? ? source.path : source.fingerprint
      digest = Digest::SHA256.hexdigest("#{file}\n#{source.offset}\n#{text}")
      return encoded(digest[0, 32].to_i(16), 26) unless ms

      encoded(ms.clamp(0, MOST_MS), 10) + encoded(digest[0, 20].to_i(16), 16)
    end

    def encoded(number, length)
      (length - 1).downto(0).map { |place| ALPHABET[(number >> (5 * place)) & 31] }.join
    end
  end

  module Names
    OUR_FILE = %r{\A(?:.*/)?([a-z0-9][a-z0-9_-]{0,63})(?:\.[0-9]+)?\.ecs\.log(?:\.[0-9]{6})?\z}m.freeze

    module_function

    def day(ms)
      Time.at(ms.div(1000)).utc.strftime("%Y.%m.%d")
    end

    def index_part(service)
      part = service.to_s.downcase.gsub(/[^a-z0-9_-]/, "-").sub(/\A[-_]+/, "")[0, 64]
      part.empty? ? "unknown" : part
    end

    # `allowed`: the index parts that services may have; none named: any.
    def log_index(service, ms, allowed)
      part = index_part(service)
      "christmas-logs-#{allowed.empty? || allowed.include?(part) ? part : 'overflow'}-#{day(ms)}"
    end

    # The service's part of a file name that follows our naming (`orders.2.ecs.log.000007`), else nil.
    def service_of(path)
      OUR_FILE.match(path)&.[](1)
    end
  end

  module Clock
    module_function

    # Milliseconds since 1970; SHIPPER_NOW (ISO 8601) replaces the clock.
    def now_ms
      fixed = ENV["SHIPPER_NOW"].to_s
      return (Time.now.to_r * 1000).floor if fixed.empty?

      Moment.ms(fixed) || raise("SHIPPER_NOW: expected a time such as 2026-01-02T03:04:05Z, got #{fixed[0, 80]}")
    end
  end
end
