# encoding: utf-8
# Text without JSON (Filebeat's input plain_text.yml) becomes a line of its service, its time that of reading.
require "json"

def register(_params); end

# @return [Array<LogStash::Event>] the same event, its message now an event as JSON
def filter(event)
  event.set("message", JSON.generate("@timestamp" => event.get("@timestamp").to_s, "message" => event.get("message"),
                                     "service.name" => event.get("[fields][plain_text_service]")))
  [event]
end
