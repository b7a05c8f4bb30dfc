# encoding: utf-8
# A document that Elasticsearch refused (from Logstash's dead letter queue) becomes a dead letter that says why.
require File.expand_path("shipper/pipeline", File.dirname(__FILE__))

# @param params [Hash] as for normalize.rb
def register(params)
  @pipeline = Shipper::Pipeline.new(params)
end

# @return [Array<LogStash::Event>] always exactly one event
def filter(event)
  reason = event.get("[@metadata][dead_letter_queue][reason]").to_s
  refused = event.to_hash.reject { |name, _| name == "@version" }
  refused["@timestamp"] = refused["@timestamp"].to_s
  index, id, document = @pipeline.refused(refused, event.get("[@metadata][index]").to_s, event.get("[@metadata][id]").to_s,
                                          # What comes before repeats the whole document.
                                          reason.partition("response: ").last, Shipper::Clock.now_ms)
  letter = LogStash::Event.new(document)
  letter.remove("@version")
  letter.set("[@metadata][index]", index)
  letter.set("[@metadata][id]", id)
  [letter]
end
