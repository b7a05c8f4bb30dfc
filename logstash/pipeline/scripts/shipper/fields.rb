# encoding: utf-8
# Any JSON object becomes ECS fields by dotted path: normalize.py in Ruby, rule for rule.
require_relative "extra"
require_relative "ids"
require_relative "values"

module Shipper
  Given = Struct.new(:path, :strength, :keys, :value, :scale)

  class Fields
    NESTED, DOTTED, SHORT = 0, 1, 2
    EXTRA = "christmas.extra".freeze
    OF_THE_FILE = ["log.file.path", "log.offset"].freeze

    def initialize(contract, masker)
      @contract = contract
      @masker = masker
      @extra = Extra.new(contract)
    end

    # The stored form of a line's fields by dotted path, masked and bounded, without what the file says.
    def normalized(line)
      fields = {}
      moved = []
      winners(line, moved).each do |given|
        home = tree_of(given.path)
        home ? keep_in_tree(fields[home] ||= {}, home, given, moved) : keep_field(fields, given, moved)
      end
      extra = fields[EXTRA] ||= {}
      moved.sort_by { |given| [unknown_keys(given), given.strength] }
           .each { |given| @extra.place(extra, unknown_keys(given), given.value) }
      masked(fields.reject { |_, value| value == {} })
    end

    private

    def winners(line, moved)
      best = {}
      leaves(line).sort_by { |given| [given.strength, given.keys] }.each do |given|
        best.key?(given.path) ? moved << given : best[given.path] = given
      end
      best.values
    end

    # Every value that is a leaf to the contract: a scalar, a list, or an object that no field lies in.
    def leaves(node, keys = [], found = [])
      node.each do |key, value|
        below = keys + [key]
        path = below.join(".")
        short = keys.empty? && !value.is_a?(Hash) && @contract.short_names[key]
        if short
          order, field, scale = short
          add(found, Given.new(field, [SHORT, order], below, value, scale))
        elsif value.is_a?(Hash) && @contract.prefixes.key?(path)
          leaves(value, below, found)
        else
          dotted = below.any? { |name| name.include?(".") }
          add(found, Given.new(path, [dotted ? DOTTED : NESTED, 0], below, value, 1))
        end
      end
      found
    end

    def add(found, given)
      given.value = @extra.pruned(given.value)
      found << given unless given.value.nil?
    end

    def tree_of(path)
      @contract.flattened.find { |tree| path == tree || path.start_with?("#{tree}.") }
    end

    def keep_in_tree(tree, home, given, moved)
      if given.path == home
        given.value.is_a?(Hash) ? tree.merge!(given.value) : moved << given
        return
      end
      key = given.path[(home.length + 1)..]
      tree.key?(key) ? moved << given : tree[key] = given.value
    end

    def keep_field(fields, given, moved)
      field = @contract.fields[given.path]
      value = given.scale == 1 ? given.value : Values.scaled(given.value, given.scale)
      kept = field && !value.equal?(MISFIT) ? Values.fitted(field, value, @contract) : MISFIT
      if kept.equal?(MISFIT) || (given.path == "event.id" && !Ids.ulid?(kept))
        moved << given
      elsif !OF_THE_FILE.include?(given.path)
        fields[given.path] = given.path == "log.level" ? kept.downcase : kept
      end
    end

    # The keys below christmas.extra: as given, but of an unknown `christmas.x` only `x`.
    def unknown_keys(given)
      known = @contract.fields.key?(given.path) || tree_of(given.path)
      return given.keys if known || !given.path.start_with?("christmas.")

      first = given.keys.first.delete_prefix("christmas").delete_prefix(".")
      below = [first, *given.keys.drop(1)].drop(first.empty? ? 1 : 0)
      below.empty? ? given.keys : below
    end

    def masked(fields)
      fields.to_h do |path, value|
        field = @contract.fields[path]
        value = @masker.value(field.name, value) unless field.untouched?
        [path, value.is_a?(Hash) ? @extra.bounded(value) : value]
      end
    end
  end
end
