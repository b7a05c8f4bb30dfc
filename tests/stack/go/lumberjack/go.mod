// Elastic's own server of the Lumberjack protocol, as a far side for what we send.
module python-shipper.test/lumberjack

go 1.22

require github.com/elastic/go-lumber v0.1.0
