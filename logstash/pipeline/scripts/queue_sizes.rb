# encoding: utf-8
# Logstash's own statistics become a log line of the service `logstash`: how large intake's queues are.
require "json"

def register(_params); end

# @return [Array<LogStash::Event>] one event that goes through intake like any line
def filter(event)
  intake = event.get("[pipelines][intake]") || {}
  dead = intake["dead_letter_queue"] || {}
  sizes = { "queue_bytes" => (intake["queue"] || {})["queue_size_in_bytes"].to_i,
            "dead_letter_queue_bytes" => dead["queue_size_in_bytes"].to_i,
            "dead_letters_dropped" => dead["dropped_events"].to_i }
  line = { "@timestamp" => event.get("@timestamp").to_s, "log.level" => level(sizes), "service.name" => "logstash",
           "message" => "intake: #{sizes.map { |name, number| "#{name} #{number}" }.join(', ')}",
           "event.action" => "queue-sizes", "christmas.extra" => sizes }
  [LogStash::Event.new("message" => JSON.generate(line), "log" => { "file" => { "path" => "logstash" }, "offset" => 0 })]
end

def level(sizes)
  return "error" if sizes["dead_letters_dropped"].positive?

  # Half of dead_letter_queue.max_bytes.
  sizes["dead_letter_queue_bytes"] > 500_000_000 ? "warning" : "info"
end
