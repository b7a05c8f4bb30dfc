# encoding: utf-8
# A raw line in, its index, id and document out: agent/pipeline.py in Ruby. Every line gives exactly one document.
require_relative "contract"
require_relative "decode"
require_relative "extra"
require_relative "fields"
require_relative "ids"
require_relative "masking"
require_relative "quick"

module Shipper
  class Pipeline
    TIMESTAMPS = %w[@timestamp timestamp].freeze
    FIRST = %w[@timestamp log.level message ecs.version].freeze # top-level keys, also where they hold a dot

    def initialize(params)
      @contract = Contract.new(params)
      @masker = Masker.new(@contract.rules, params["hash_key_file"])
      @allowed = params["services"].to_s.split(",").map(&:strip).reject(&:empty?).map { |name| Names.index_part(name) }
      @quick = Quick.new(@contract)
      @fields = Fields.new(@contract, @masker)
      @extra = Extra.new(@contract)
    end

    # @return [Array(String, String, Hash)] index, id, document
    def process(line, source, now_ms)
      text = Decode.text(line)
      value = Decode.json(text)
      return dead_letter(text, "not_object", nil, source, now_ms) unless value.is_a?(Hash)

      todo = @quick.todo(value)
      todo ? quickly(value, todo, text, source, now_ms) : carefully(value, text, source, now_ms)
    rescue JSON::ParserError
      dead_letter(text, "not_json", nil, source, now_ms)
    end

    # A line on which this script itself failed: a dead letter that does not repeat what could not be masked.
    def failed(line, source, error)
      routed = dead_letter("", "script_error", nil, source, (Time.now.to_r * 1000).floor)
      id = Ids.hashed(source, Decode.text(line), nil)
      routed[1] = routed[2]["event"]["id"] = id
      routed[2]["message"] = "not shown, because masking it may have failed: #{error.class}"
      routed
    end

    # A document that Elasticsearch refused, as a dead letter: `index` and `id` are where it would have gone.
    def refused(document, index, id, reason, now_ms)
      letter = Ids.hashed(Source.new("", index, id), "", nil)
      fields = { "@timestamp" => Moment.text(now_ms), "message" => @extra.cut(@masker.text(JSON.generate(document))),
                 "ecs.version" => @contract.ecs_version, "event.id" => letter,
                 "christmas.dead_letter.reason" => "mapping", "christmas.dead_letter.index" => index,
                 "error.message" => @extra.cut(@masker.text(reason)), "service.name" => document.dig("service", "name"),
                 "log.file.path" => document.dig("log", "file", "path"), "log.offset" => document.dig("log", "offset") }
      ["christmas-dead-letters-#{Names.day(now_ms)}", letter, nested(fields.compact)]
    end

    private

    def quickly(document, todo, text, source, now_ms)
      ms = Moment.ms(document["@timestamp"])
      index = Names.log_index(document.dig("service", "name"), ms, @allowed)
      reason = too_old_or_ahead(ms, now_ms)
      return dead_letter(text, reason, index, source, now_ms) if reason

      todo.each { |node, key, field| node[key] = @masker.value(field.name, node[key]) }
      log = document["log"] ||= {}
      log["file"] = { "path" => source.path }
      log["offset"] = source.offset
      [index, document["event"]["id"], document]
    end

    def carefully(value, text, source, now_ms)
      fields = @fields.normalized(value)
      unless fields.key?("@timestamp")
        given = TIMESTAMPS.any? { |name| !value[name].nil? && value[name] != {} }
        return dead_letter(text, given ? "bad_timestamp" : "no_timestamp", nil, source, now_ms)
      end
      ms = Moment.ms(fields["@timestamp"])
      index = Names.log_index(fields["service.name"], ms, @allowed)
      reason = too_old_or_ahead(ms, now_ms)
      return dead_letter(text, reason, index, source, now_ms) if reason

      fields["ecs.version"] ||= @contract.ecs_version
      fields["event.id"] ||= Ids.hashed(source, text, ms)
      [index, fields["event.id"], nested(fields.merge(of_the_file(source)))]
    end

    def of_the_file(source)
      { "log.file.path" => source.path, "log.offset" => source.offset }
    end

    def too_old_or_ahead(ms, now_ms)
      return "expired" if ms - ms % Moment::DAY_MS + @contract.retention_days * Moment::DAY_MS <= now_ms

      "future" if ms > now_ms + @contract.future_seconds * 1000
    end

    def dead_letter(text, reason, index, source, now_ms)
      id = Ids.hashed(source, text, nil)
      fields = { "@timestamp" => Moment.text(now_ms), "message" => @extra.cut(@masker.text(text)),
                 "ecs.version" => @contract.ecs_version, "event.id" => id,
                 "christmas.dead_letter.reason" => reason, "christmas.dead_letter.index" => index,
                 "service.name" => Names.service_of(source.path) }
      ["christmas-dead-letters-#{Names.day(now_ms)}", id, nested(fields.compact.merge(of_the_file(source)))]
    end

    def nested(fields)
      document = fields.slice(*FIRST)
      fields.each do |path, value|
        next if document.key?(path)

        *folders, last = path.split(".")
        folders.reduce(document) { |node, folder| node[folder] ||= {} }[last] = value
      end
      document
    end
  end
end
