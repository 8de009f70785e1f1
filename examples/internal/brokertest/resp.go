package brokertest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
)

// readCommand reads a command of RESP, which is an array of bulk strings. Redis takes a
// line of words too, which no client of ours sends.
func readCommand(r *bufio.Reader) ([][]byte, error) {
	n, err := readLength(r, '*')
	if err != nil {
		return nil, err
	}
	command := make([][]byte, n)
	for i := range command {
		size, err := readLength(r, '$')
		if err != nil {
			return nil, err
		}
		word := make([]byte, size+len("\r\n"))
		if _, err := io.ReadFull(r, word); err != nil {
			return nil, err
		}
		command[i] = word[:size]
	}
	return command, nil
}

// readLength reads a line such as *3 or $12.
func readLength(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return 0, err
	}
	line = bytes.TrimRight(line, "\r\n")
	if len(line) == 0 || line[0] != kind {
		return 0, errors.New("brokertest: no RESP command")
	}
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil || n < 0 || n > 64<<20 {
		return 0, errors.New("brokertest: no length of RESP")
	}
	return n, nil
}

// writeCommand is the inverse of readCommand. Flush tells the error.
func writeCommand(w *bufio.Writer, command [][]byte) {
	w.WriteString("*" + strconv.Itoa(len(command)) + "\r\n")
	for _, word := range command {
		w.WriteString("$" + strconv.Itoa(len(word)) + "\r\n")
		w.Write(word)
		w.WriteString("\r\n")
	}
}

// credentials returns where user and password stand in an AUTH or in a HELLO with AUTH;
// nil in other commands.
func credentials(command [][]byte) (user, password *[]byte) {
	if len(command) == 0 {
		return nil, nil
	}
	switch strings.ToUpper(string(command[0])) {
	case "AUTH":
		switch len(command) {
		case 2: // of the user default
			return new([]byte), &command[1]
		case 3:
			return &command[1], &command[2]
		}
	case "HELLO":
		for i := 2; i+2 < len(command); i++ {
			if strings.EqualFold(string(command[i]), "AUTH") {
				return &command[i+1], &command[i+2]
			}
		}
	}
	return nil, nil
}
