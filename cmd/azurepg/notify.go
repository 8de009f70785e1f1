package main

import (
	"net"
	"os"
)

// notifyReady tells systemd, if it asks (Type=notify), that what others wait for is there.
// Nobody waits for the answer: there is none. Source: sd_notify(3), read 2026-11.
func notifyReady() {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte("READY=1"))
}
