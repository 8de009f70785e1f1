package proxy

import (
	"github.com/jackc/pgx/v5/pgproto3"
)

// ask returns the one value that query returns.
func (l *login) ask(query string) (value string, err error) {
	packet, err := (&pgproto3.Query{String: query}).Encode(nil)
	if err != nil {
		return "", err
	}
	if _, err := l.conn.Write(packet); err != nil {
		return "", err
	}
	for {
		message, err := readMessage(l.conn, maxWelcome)
		if err != nil {
			return "", err
		}
		switch body := message[5:]; message[0] {
		case msgError:
			return "", newServerError(body, l.token)
		case msgDataRow:
			var row pgproto3.DataRow
			if err := row.Decode(body); err != nil || len(row.Values) != 1 {
				return "", errNoMessage
			}
			value = string(row.Values[0])
		case msgReadyForQuery:
			return value, nil
		}
	}
}
