"""ELK logging for Python services, ready to drop in.

logging call → LogRecord → context (trace id, bound fields) → mask → ECS JSON bytes → rotating file     core
                                                                                        │
                ELK:       Filebeat (raw lines) → Logstash (normalize.rb) → Elasticsearch → Kibana
                embedded:  agent/tail → agent/pipeline → store/tantivy ───→ dashboard, CLI
"""

__version__ = "0.1.0"
