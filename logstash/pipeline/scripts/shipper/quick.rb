# encoding: utf-8
# The quick way for lines that our own emission wrote: says cheaply that a line is in stored form. quick.py in Ruby.
require_relative "extra"
require_relative "ids"
require_relative "values"

module Shipper
  class Quick
    SPEC_DOTTED = ["log.level", "ecs.version"].freeze
    OF_THE_FILE = ["log.file.path", "log.offset"].freeze
    STORED = /\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z\z/.freeze

    def initialize(contract)
      @contract = contract
      @extra = Extra.new(contract)
      @plan = {}
      contract.fields.each_value { |field| add(field) unless OF_THE_FILE.include?(field.path) }
    end

    # The places that masking must look at, when the line is in stored form, has its id and its version; else nil.
    def todo(line)
      return nil unless line["@timestamp"] && line["ecs.version"] && line["event"].is_a?(Hash) && line["event"]["id"]

      todo = []
      fits?(line, @plan, todo) ? todo : nil
    end

    private

    def add(field)
      *folders, last = SPEC_DOTTED.include?(field.path) ? [field.path] : field.path.split(".")
      folders.reduce(@plan) { |node, folder| node[folder] ||= {} }[last] = field
    end

    def fits?(node, plan, todo)
      node.each do |key, value|
        want = plan[key]
        case want
        when nil then return false
        when Hash then return false unless value.is_a?(Hash) && !value.empty? && fits?(value, want, todo)
        else
          return false unless stored?(want, value)

          todo << [node, key, want] unless want.untouched?
        end
      end
      true
    end

    def stored?(field, value)
      return list?(field, value) if field.array

      case field.path
      when "event.id" then Ids.ulid?(value)
      when "log.level" then keyword?(value) && value == value.downcase
      else typed?(field.type, value)
      end
    end

    def list?(field, value)
      field.type == "keyword" && value.is_a?(Array) && value.all? { |item| keyword?(item) }
    end

    def typed?(type, value)
      case type
      when "keyword" then keyword?(value)
      when "match_only_text", "wildcard" then value.is_a?(String)
      when "long" then value.is_a?(Integer) && Values::LONG.cover?(value)
      when "double" then value.is_a?(Float) ? value.finite? : value.is_a?(Integer) && Values::LONG.cover?(value)
      when "boolean" then value == true || value == false
      when "date" then value.is_a?(String) && STORED.match?(value) && !Moment.ms(value).nil?
      when "ip" then !Values.ip(value).equal?(MISFIT)
      else value.is_a?(Hash) && @extra.plain?(value)
      end
    end

    def keyword?(value)
      value.is_a?(String) && value.length <= @contract.keyword_characters
    end
  end
end
