# encoding: utf-8
# One raw line in, one document out: the entry of Logstash's ruby filter, and of the golden cases on plain Ruby.
#
# The event comes from Filebeat with the undecoded line in `message`; the file's path, fingerprint and offset lie in
# `log`. The event that leaves holds the stored document and nothing else; its index and id are in [@metadata]. JSON is
# decoded here rather than by a `json` filter: that one takes two objects on one line for one (the last wins), converts
# every value to Java and back, and what a line says must never reach [@metadata].
require File.expand_path("shipper/pipeline", File.dirname(__FILE__))

# @param params [Hash] `contract`, `policies`: folders of the contract files and ILM policies (default: found beside
#   the pipeline folder, as in the image, or in a checkout); `hash_key_file`: the key of masking's hash action;
#   `masking_file`: masking rules of one's own; `services`: those that get indices of their own, separated by commas.
def register(params)
  @pipeline = Shipper::Pipeline.new(params)
end

# @return [Array<LogStash::Event>] always exactly one event
def filter(event)
  line = event.get("message")
  source = Shipper::Source.new(event.get("[log][file][path]").to_s, event.get("[log][file][fingerprint]").to_s,
                               event.get("[log][offset]").to_i)
  [stored(@pipeline.process(line.to_s, source, Shipper::Clock.now_ms))]
rescue StandardError, SystemStackError => error
  # A fault of this script, never of the line: without this the line would go on as it came, unmasked.
  logger.error("normalize.rb failed", "error" => error.class.name, "backtrace" => error.backtrace.first(10))
  [stored(@pipeline.failed(line.to_s, source, error))]
end

def stored(routed)
  index, id, document = routed
  event = LogStash::Event.new(document)
  event.remove("@version")
  event.set("[@metadata][index]", index)
  event.set("[@metadata][id]", id)
  event
end
