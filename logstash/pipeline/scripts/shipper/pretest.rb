# encoding: utf-8
# What a text must hold for a masking pattern to have any chance, derived from the pattern itself, so that most texts
# never meet a regular expression: runs of digits and separators, runs of digits and capitals, and literal texts.
require "strscan"

module Shipper
  class Pretest
    CLASSES = { numeric: "0123456789 ()+-".chars, capital: [*"0".."9", *"A".."Z", " "] }.freeze
    RUNS = { numeric: /[0-9 ()+-]{5,}/, capital: /[0-9A-Z ]{5,}/ }.freeze
    LEAST_RUN = 5 # shorter runs are in every text
    MOST_CHOICES = 4
    ESCAPES = { "t" => "\t", "r" => "\r", "n" => "\n" }.freeze
    # characters: nil where many or unknown; least: its fewest repeats; once: no repeats
    Item = Struct.new(:characters, :least, :once, :branches)

    # How long the longest run of each class in a text is.
    Shape = Struct.new(:numeric, :capital) do
      def self.of(text)
        new(*RUNS.values.map { |run| text.scan(run).map(&:length).max || 0 })
      end
    end

    def initialize(pattern)
      @scanner = StringScanner.new(pattern)
      items = whole(alternatives)
      @numeric, @capital = CLASSES.keys.map { |name| [longest_run(items, CLASSES[name]), LEAST_RUN - 1].max }
      @numeric = 0 if @numeric < LEAST_RUN
      @capital = 0 if @capital < LEAST_RUN
      @texts = required(items)
    end

    def met?(text, shape)
      shape.numeric >= @numeric && shape.capital >= @capital &&
        @texts.all? { |choices| choices.any? { |choice| text.include?(choice) } }
    end

    private

    def whole(branches)
      branches.length == 1 ? branches.first : [Item.new(nil, 1, true, branches)]
    end

    def alternatives
      branches = [[]]
      until @scanner.eos? || @scanner.check(/\)/)
        @scanner.skip(/\|/) ? branches.push([]) : branches.last.concat(atom)
      end
      branches
    end

    # Lookarounds match no character; every other atom is one item with its least number of repeats.
    def atom
      if @scanner.skip(/\(\?(?:<!|<=|!|=)/)
        group
        return []
      end
      item = @scanner.skip(/\((?:\?:)?/) ? Item.new(nil, 1, true, group) : Item.new(characters, 1, true)
      start = @scanner.pos
      item.least = quantifier
      item.once = @scanner.pos == start
      [item]
    end

    def group
      branches = alternatives
      @scanner.skip(/\)/)
      branches
    end

    def quantifier
      return 0 if @scanner.skip(/[?*]\??/)
      return 1 if @scanner.skip(/\+\??/)

      @scanner.scan(/\{([0-9]*)(?:,[0-9]*)?\}\??/) ? @scanner[1].to_i : 1
    end

    def characters
      return literal unless @scanner.skip(/\[/)

      negated = @scanner.skip(/\^/)
      members = []
      members.concat(range) until @scanner.skip(/\]/)
      negated || members.length > 256 ? nil : members
    end

    def range
      first = literal.first
      return [first] unless @scanner.check(/-[^\]]/)

      @scanner.skip(/-/)
      last = literal.first
      last.ord - first.ord > 256 ? [first] * 300 : (first.ord..last.ord).map { |code| code.chr(Encoding::UTF_8) }
    end

    def literal
      escaped = @scanner.skip(/\\/)
      character = @scanner.getch
      escaped ? [ESCAPES.fetch(character, character)] : [character]
    end

    def longest_run(items, members)
      longest = run = 0
      items.each do |item|
        inside, least = extent(item, members)
        run = inside ? run + least : 0
        longest = [longest, run, least].max
      end
      longest
    end

    # Whether an item matches only `members`, with its least length; otherwise the longest run inside of it.
    def extent(item, members)
      if item.branches
        parts = item.branches.map { |branch| [branch.all? { |one| extent(one, members).first }, branch] }
        return [false, item.least.zero? ? 0 : parts.map { |_, b| longest_run(b, members) }.min] unless parts.all?(&:first)

        return [true, item.least * parts.map { |_, b| b.sum { |one| extent(one, members).last } }.min]
      end
      inside = item.characters && (item.characters - members).empty?
      [inside, inside ? item.least : 0]
    end

    # Groups of texts: every match holds one text of each group.
    def required(items)
      groups = []
      literal = +""
      [*items, nil].each do |item|
        single = item && item.once && item.characters&.length == 1
        literal << item.characters.first if single
        next if single

        groups << [literal] unless literal.empty?
        literal = +""
        groups.concat(inner(item)) if item && item.least.positive?
      end
      groups
    end

    def inner(item)
      return required(item.branches.first) if item.branches&.length == 1
      return [] unless item.characters && item.characters.length <= MOST_CHOICES

      [item.characters]
    end
  end
end
