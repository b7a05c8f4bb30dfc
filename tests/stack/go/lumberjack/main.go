// A Lumberjack server for tests: lumberjack <address> <file> <secrets>. Each event is a line of JSON in the file, written
// before it is acknowledged. The file <file>.hold, while it is there, keeps it from acknowledging anything.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log"
	"os"
	"time"

	"github.com/elastic/go-lumber/server"
)

func config(secrets string) *tls.Config {
	certificate, err := tls.LoadX509KeyPair(secrets+"/logstash.crt", secrets+"/logstash.key")
	if err != nil {
		log.Fatal(err)
	}
	authority, err := os.ReadFile(secrets + "/ca.crt")
	if err != nil {
		log.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	return &tls.Config{
		Certificates: []tls.Certificate{certificate},
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	}
}

func main() {
	address, path, secrets := os.Args[1], os.Args[2], os.Args[3]
	listening, err := server.ListenAndServe(address, server.V2(true), server.TLS(config(secrets)),
		server.Keepalive(time.Second), server.Timeout(10*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	for batch := range listening.ReceiveChan() {
		for _, err := os.Stat(path + ".hold"); err == nil; _, err = os.Stat(path + ".hold") {
			time.Sleep(20 * time.Millisecond)
		}
		buffered := bufio.NewWriter(file)
		encoder := json.NewEncoder(buffered)
		for _, event := range batch.Events {
			if err := encoder.Encode(event); err != nil {
				log.Fatal(err)
			}
		}
		if err := buffered.Flush(); err != nil {
			log.Fatal(err)
		}
		batch.ACK()
	}
}
