// Verifies certificates as Go's TLS does, and so kubelet, kube-apiserver and etcd. Each line of standard input is a JSON
// object with what a peer shows and whom a reader trusts. Each line of standard output is a JSON string: why the reader
// refuses the peer, or empty.
package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
)

type asked struct {
	// The certificate file, in PEM: the certificate, then what leads from it to a CA.
	Shown string `json:"shown"`
	// The CA file, in PEM.
	Trusted string `json:"trusted"`
}

func main() {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for in.More() {
		var it asked
		if err := in.Decode(&it); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		problem := ""
		if err := verify(it); err != nil {
			problem = err.Error()
		}
		if err := out.Encode(problem); err != nil {
			os.Exit(1)
		}
	}
}

func verify(it asked) error {
	shown, err := read(it.Shown)
	if err != nil {
		return err
	}
	trusted, err := read(it.Trusted)
	if err != nil {
		return err
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, certificate := range trusted {
		roots.AddCert(certificate)
	}
	for _, certificate := range shown[1:] {
		between.AddCert(certificate)
	}
	// As a server, and as a client.
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		options := x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}}
		if _, err := shown[0].Verify(options); err != nil {
			return err
		}
	}
	return nil
}

func read(text string) ([]*x509.Certificate, error) {
	var found []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		found = append(found, certificate)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no certificate")
	}
	return found, nil
}
