package redislogin

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/azurepg/azurepg"
)

// advice is for what Redis says first in an error.
//
// Source: the troubleshooting parts of Azure's samples for redis-py and ioredis, and
// learn.microsoft.com, "Use Microsoft Entra ID for cache authentication", read 2026-11.
var advice = map[string]string{
	"WRONGPASS": "the token does not fit the user. In the portal, on the cache: is Microsoft Entra authentication enabled (Authentication), " +
		"and is this identity among the Redis users, with a data access policy? It counts by the object id of the service principal " +
		"or managed identity, not by that of the app registration; groups do not count",
	"NOPERM": "the login was good, but the data access policy of this identity does not allow the command or the key. In the portal, on the cache: " +
		"give it Data Owner, Data Contributor or Data Reader, or let its custom policy allow this (Data Access Configuration)",
	"NOAUTH": "the connection has not logged in: is access by Entra tokens enabled on the cache?",
}

// Explain says what to do about a refusal of Redis. Other errors it returns.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	word, _, _ := strings.Cut(err.Error(), " ")
	what, known := advice[word]
	if !known {
		return err
	}
	text := azurepg.Redact(err.Error())
	return fmt.Errorf("%s: %s. Redis says %s", word, what, strconv.Quote(text[:min(len(text), 200)]))
}
