# encoding: utf-8
# The contract as data: the same YAML files that the Python side reads, and the age in the ILM policy.
require "json"
require "yaml"

module Shipper
  Field = Struct.new(:path, :type, :array, :exempt) do
    # Masking leaves identifiers, numbers, dates, booleans and addresses alone.
    def untouched?
      exempt || !%w[keyword match_only_text wildcard flattened].include?(type)
    end

    def name
      type == "flattened" ? "" : path.rpartition(".").last
    end
  end

  class Contract
    SCRIPTS = File.expand_path("..", File.dirname(__FILE__))
    PLACES = { "contract" => %w[../../contract ../../../python_shipper/contract],
               "policies" => %w[../../ilm_policies ../../../ilm_policies] }.freeze
    POLICY = "christmas-logs-30d.json".freeze

    attr_reader :ecs_version, :fields, :short_names, :rules, :prefixes, :flattened, :retention_days,
                :keyword_characters, :extra_characters, :extra_depth, :future_seconds

    def initialize(params)
      folder = Contract.folder("contract", params)
      read(YAML.safe_load(File.read(File.join(folder, "fields.yml"), encoding: "UTF-8")))
      @rules = with_own(rules_of(File.join(folder, "masking.yml")), params["masking_file"].to_s)
      @retention_days = days(File.join(Contract.folder("policies", params), POLICY))
    end

    def self.folder(name, params)
      given = params[name].to_s
      places = given.empty? ? PLACES.fetch(name).map { |place| File.expand_path(place, SCRIPTS) } : [given]
      places.find { |place| File.directory?(place) } ||
        raise("normalize.rb: no folder #{places.join(' or ')}; mount it, or name it in script_params #{name}")
    end

    private

    def read(data)
      @ecs_version = data.fetch("ecs_version")
      data.fetch("limits").each { |name, number| instance_variable_set("@#{name}", number) }
      @fields = data.fetch("fields").to_h do |path, spec|
        [path, Field.new(path, spec.fetch("type"), spec["array"], spec["exempt"])]
      end
      @short_names = data.fetch("short_names").each_with_index.to_h do |(name, spec), order|
        [name, [order, spec.fetch("field"), spec.fetch("scale", 1)]]
      end
      @flattened = @fields.values.select { |field| field.type == "flattened" }.map(&:path)
      @prefixes = @fields.keys.flat_map { |path| parents(path) }.to_h { |path| [path, true] }
    end

    def rules_of(path)
      rules = YAML.safe_load(File.read(path, encoding: "UTF-8"))
      rules.is_a?(Hash) && rules["rules"].is_a?(Array) ? rules["rules"] : raise("#{path}: rules: expected a list of rules")
    end

    # Rules of one's own: one of a shipped rule's name takes its place, new ones come first.
    def with_own(shipped, path)
      return shipped if path.empty?

      own = rules_of(path).to_h { |rule| [rule.fetch("name"), rule] }
      names = shipped.map { |rule| rule["name"] }
      own.reject { |name, _| names.include?(name) }.values + shipped.map { |rule| own.fetch(rule["name"], rule) }
    end

    def parents(path)
      parts = path.split(".")
      (1...parts.length).map { |count| parts.first(count).join(".") }
    end

    def days(path)
      age = JSON.parse(File.read(path)).dig("policy", "phases", "delete", "min_age").to_s
      raise "#{path}: expected delete.min_age in days, such as 30d, got #{age}" unless age.match?(/\A[1-9][0-9]{0,4}d\z/)

      age.to_i
    end
  end
end
