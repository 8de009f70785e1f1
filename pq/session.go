package pq

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
)

// ask returns the one value that query returns.
func ask(conn driver.Conn, query string) (answer string, err error) {
	q, ok := conn.(driver.QueryerContext)
	if !ok {
		return "", fmt.Errorf("%T cannot query", conn)
	}
	rows, err := q.QueryContext(context.Background(), query, nil) // ended by the deadline
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, 1)
	if err := rows.Next(row); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s", row[0]), nil
}
