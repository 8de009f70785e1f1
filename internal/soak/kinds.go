package main

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/azurepg/azurepg"
)

// Kinds of errors that have no SQLSTATE.
const (
	noToken     = "no token"
	timeout     = "timeout"
	lost        = "connection lost"
	unspecified = "other"
)

// kindOf returns the SQLSTATE of an error, or what it is like.
func kindOf(err error) string {
	var server interface{ SQLState() string }
	var token *azurepg.TokenError
	var network net.Error
	switch {
	case errors.As(err, &server):
		return server.SQLState()
	case errors.As(err, &token):
		return noToken
	case errors.Is(err, context.DeadlineExceeded):
		return timeout
	case errors.As(err, &network), isAny(err, driver.ErrBadConn, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.EPIPE):
		return lost
	case strings.Contains(err.Error(), "conn closed"), strings.Contains(err.Error(), "conn busy"): // pgx
		return lost
	}
	return unspecified
}

func isAny(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
