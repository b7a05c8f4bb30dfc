// Filebeat 9.0's main branch of October 2024, with the replacements that its own go.mod makes.
module python-shipper.test/filebeat

go 1.22

require github.com/elastic/beats/v7 v7.0.0-alpha2.0.20241022170531-d2e6603d82fb

replace (
	github.com/Shopify/sarama => github.com/elastic/sarama v1.19.1-0.20220310193331-ebc2b0d8eef3
	github.com/dop251/goja => github.com/andrewkroh/goja v0.0.0-20190128172624-dd2ac4456e20
	github.com/dop251/goja_nodejs => github.com/dop251/goja_nodejs v0.0.0-20171011081505-adff31b136e6
)
