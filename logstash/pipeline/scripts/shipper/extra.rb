# encoding: utf-8
# What no field takes is kept in christmas.extra: assembled without loss, then within bounds. extra.py in Ruby.
require_relative "values"

module Shipper
  class Extra
    KEPT = 100
    KEY_CHARACTERS = 256
    LEAF_BYTES = 32_000
    SAFE_DEPTH = 40

    def initialize(contract)
      @depth = contract.extra_depth
      @characters = contract.extra_characters
      @too_deep = "…[cut, deeper than #{@depth} levels]"
    end

    # The value without nulls and empty objects; nil when nothing is left of it.
    def pruned(value, level = 1)
      return capped(value, level) unless value.is_a?(Hash)
      return @too_deep if level > SAFE_DEPTH

      kept = value.transform_values { |item| pruned(item, level + 1) }.compact
      kept.empty? ? nil : kept
    end

    # The value, what lies in lists kept as it is, without containers beyond the safe depth.
    def capped(value, level)
      return value unless value.is_a?(Hash) || value.is_a?(Array)
      return @too_deep if level > SAFE_DEPTH

      value.is_a?(Hash) ? value.transform_values { |item| capped(item, level + 1) } : value.map { |item| capped(item, level + 1) }
    end

    # Puts `value` at `keys`; objects merge, and where a value is already there, `_` is added to the key.
    def place(tree, keys, value)
      key, *rest = keys
      return place_leaf(tree, key, value) unless !rest.empty? || value.is_a?(Hash)

      key += "_" until tree.fetch(key, {}).is_a?(Hash)
      folder = tree[key] ||= {}
      below = rest.empty? ? value.map { |name, item| [[name], item] } : [[rest, value]]
      below.each { |names, item| place(folder, names, item) }
    end

    def bounded(tree)
      tree.to_h { |key, item| [safe_key(key), bounded_value(item, 2, safe_key(key).bytesize)] }
    end

    def cut(text, path_bytes = 0)
      limit = @characters
      if path_bytes + 4 * text.length > LEAF_BYTES && path_bytes + text[0, limit].bytesize > LEAF_BYTES
        limit = (LEAF_BYTES - path_bytes) / 4
      end
      return text if text.length <= limit

      "#{text[0, limit - KEPT]}…[cut, #{text.length - limit + KEPT} characters]"
    end

    # Whether pruning and bounding would change nothing (a cheap test).
    def plain?(tree, level = 1)
      return false if tree.empty? || level > 8

      tree.all? do |key, value|
        next false if key.length > 64 || key.include?("\0")

        case value
        when String then value.length <= 4000
        when Hash then plain?(value, level + 1)
        when Integer then Values::LONG.cover?(value)
        when Float then value.finite?
        when true, false then true
        else false
        end
      end
    end

    private

    def place_leaf(tree, key, value)
      key += "_" while tree.key?(key) && !tree[key].eql?(value)
      tree[key] = value
    end

    def bounded_value(value, level, path_bytes)
      case value
      when String then cut(value, path_bytes)
      when Hash, Array then level > @depth ? @too_deep : bounded_container(value, level, path_bytes)
      when Integer then Values::LONG.cover?(value) ? value : value.to_s
      when Float then value.finite? ? value : value.to_s
      else value
      end
    end

    def bounded_container(value, level, path_bytes)
      return value.map { |item| bounded_value(item, level + 1, path_bytes) } if value.is_a?(Array)

      value.to_h do |key, item|
        key = safe_key(key)
        [key, bounded_value(item, level + 1, path_bytes + 1 + key.bytesize)]
      end
    end

    def safe_key(key)
      key = key.tr("\0", "\uFFFD") if key.include?("\0")
      return key if key.length <= KEY_CHARACTERS

      "#{key[0, KEY_CHARACTERS - 56]}…[cut, #{key.length - KEY_CHARACTERS + 56} characters]"
    end
  end
end
