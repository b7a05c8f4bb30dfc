"""ELK logging for Python services, ready to drop in.

logging call → LogRecord → context (trace id, bound fields) → mask → ECS JSON bytes → rotating file     core
                                                                                        │
                ELK:       Filebeat (raw lines) → Logstash (normalize.rb) → Elasticsearch → Kibana
                embedded:  agent/tail → agent/pipeline → store/tantivy ───→ dashboard, CLI
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from python_shipper.ads.campaign import CampaignLogger
    from python_shipper.ads.contextual import ContextualLogger
    from python_shipper.ads.errors import AdSystemErrorTracker
    from python_shipper.ads.events import AdEventLogger
    from python_shipper.ads.logging_system import AdLoggingSystem
    from python_shipper.ads.monitor import LogMonitor
    from python_shipper.ads.performance import PerformanceLogger
    from python_shipper.ads.requests import AdRequestTracker
    from python_shipper.ads.slack import SlackHandler
    from python_shipper.ads.structured import StructuredLogger
    from python_shipper.ads.system import AdSystemLogger
    from python_shipper.analyzers.batch import AdLogAnalyzer
    from python_shipper.analyzers.real_time import RealTimeAnalyzer
    from python_shipper.collectors.error import ErrorCollector
    from python_shipper.collectors.metric import MetricCollector
    from python_shipper.core.config import configure
    from python_shipper.core.configfile import load_config
    from python_shipper.core.context import bind, bound, unbind
    from python_shipper.core.logged import logged
    from python_shipper.core.logger import get_logger

__version__ = "0.1.0"
__all__ = [
    "AdEventLogger",
    "AdLogAnalyzer",
    "AdLoggingSystem",
    "AdRequestTracker",
    "AdSystemErrorTracker",
    "AdSystemLogger",
    "CampaignLogger",
    "ContextualLogger",
    "ErrorCollector",
    "LogMonitor",
    "MetricCollector",
    "PerformanceLogger",
    "RealTimeAnalyzer",
    "SlackHandler",
    "StructuredLogger",
    "bind",
    "bound",
    "configure",
    "get_logger",
    "load_config",
    "logged",
    "unbind",
]

_HOMES = {
    "AdEventLogger": "python_shipper.ads.events",
    "AdLogAnalyzer": "python_shipper.analyzers.batch",
    "AdLoggingSystem": "python_shipper.ads.logging_system",
    "AdRequestTracker": "python_shipper.ads.requests",
    "AdSystemErrorTracker": "python_shipper.ads.errors",
    "AdSystemLogger": "python_shipper.ads.system",
    "CampaignLogger": "python_shipper.ads.campaign",
    "ContextualLogger": "python_shipper.ads.contextual",
    "ErrorCollector": "python_shipper.collectors.error",
    "LogMonitor": "python_shipper.ads.monitor",
    "MetricCollector": "python_shipper.collectors.metric",
    "PerformanceLogger": "python_shipper.ads.performance",
    "RealTimeAnalyzer": "python_shipper.analyzers.real_time",
    "SlackHandler": "python_shipper.ads.slack",
    "StructuredLogger": "python_shipper.ads.structured",
    "bind": "python_shipper.core.context",
    "bound": "python_shipper.core.context",
    "configure": "python_shipper.core.config",
    "get_logger": "python_shipper.core.logger",
    "load_config": "python_shipper.core.configfile",
    "logged": "python_shipper.core.logged",
    "unbind": "python_shipper.core.context",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: the command line starts without what it does not use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        words = f"{name} needs {error.name}, which is not installed; pip install 'python-shipper[all]'"
        raise ModuleNotFoundError(words, name=error.name) from error
    return value
