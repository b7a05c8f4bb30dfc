# encoding: utf-8
# Runs normalize.rb as Logstash's ruby filter does, on plain Ruby or JRuby: JSON questions in, JSON answers out, one a
# line. A question: {script, now, raw (base64), file: {path, fingerprint, offset}, params}.
require "base64"
require "json"

module LogStash
  # As much of Logstash's Event as the script may use: field references, "@version", and metadata kept apart.
  class Event
    def initialize(data = {})
      @data = { "@version" => "1" }.merge(JSON.parse(JSON.generate(data), max_nesting: false))
      @metadata = @data.delete("@metadata") || {}
    end

    def get(reference)
      place, keys = path(reference)
      keys.reduce(place) { |node, key| node.is_a?(Hash) ? node[key] : nil }
    end

    def set(reference, value)
      place, (*folders, last) = path(reference)
      folders.reduce(place) { |node, key| node[key] ||= {} }[last] = value
    end

    def remove(reference)
      place, (*folders, last) = path(reference)
      folders.reduce(place) { |node, key| node && node[key] }&.delete(last)
    end

    def to_hash
      @data
    end

    private

    # "[a][b]" is a path, "a.b" one key; "[@metadata]…" lies outside of the document.
    def path(reference)
      keys = reference.start_with?("[") ? reference.scan(/\[([^\[\]]+)\]/).flatten : [reference]
      keys.first == "@metadata" ? [@metadata, keys.drop(1)] : [@data, keys]
    end
  end
end

# One instance of the filter: the script's functions, evaluated in an object of their own, as Logstash does.
class Filter
  def initialize(script, params)
    instance_eval(File.read(script, encoding: "UTF-8"), script)
    register(params)
  end
end

filters = Hash.new { |known, (script, params)| known[[script, params]] = Filter.new(script, params) }
$stdin.each_line do |line|
  question = JSON.parse(line)
  ENV["SHIPPER_NOW"] = question["now"]
  file = question["file"]
  text = Base64.decode64(question["raw"]).force_encoding(Encoding::UTF_8)
  event = LogStash::Event.new("log" => { "file" => file.slice("path", "fingerprint"), "offset" => file["offset"] })
  event.set("message", text)
  stored, *more = filters[[question["script"], question["params"]]].filter(event)
  raise "the filter gave #{more.length + 1} events" unless stored && more.empty?

  answer = { index: stored.get("[@metadata][index]"), id: stored.get("[@metadata][id]"), document: stored.to_hash }
  $stdout.puts(JSON.generate(answer, max_nesting: false))
end
