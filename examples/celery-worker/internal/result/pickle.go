package result

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"
	"strings"
)

// pickle writes JSON as Python's pickle, protocol 2, of the same value: Celery's database
// backend stores pickles even where all else is JSON. What is written is None, numbers,
// strings, lists and dicts, so that reading it runs no code.
//
// Source: the opcodes' descriptions in Lib/pickletools.py of CPython 3.11.
func pickle(value json.RawMessage) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.UseNumber()
	out := []byte{0x80, 2} // PROTO
	depth := 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && depth == 0 {
			return append(out, '.'), nil // STOP
		}
		if err != nil {
			return nil, fmt.Errorf("a result that is no JSON: %w", err)
		}
		switch token {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
		if out, err = appendToken(out, token); err != nil {
			return nil, err
		}
	}
}

func appendToken(out []byte, token json.Token) ([]byte, error) {
	switch v := token.(type) {
	case nil:
		return append(out, 'N'), nil // NONE
	case bool:
		if v {
			return append(out, 0x88), nil // NEWTRUE
		}
		return append(out, 0x89), nil // NEWFALSE
	case string:
		if len(v) > math.MaxUint32 {
			return nil, errors.New("a result with a string of more than 4 GiB")
		}
		out = binary.LittleEndian.AppendUint32(append(out, 'X'), uint32(len(v))) // BINUNICODE
		return append(out, v...), nil
	case json.Number:
		return appendNumber(out, v)
	case json.Delim:
		return append(out, delimiters[v]...), nil
	}
	return nil, fmt.Errorf("a result with a %T", token)
}

var delimiters = map[json.Delim]string{
	'[': "](", // EMPTY_LIST, MARK
	']': "e",  // APPENDS
	'{': "}(", // EMPTY_DICT, MARK
	'}': "u",  // SETITEMS
}

// appendNumber writes what Python reads from the same JSON: an int of any size, or a float.
func appendNumber(out []byte, n json.Number) ([]byte, error) {
	if strings.ContainsAny(string(n), ".eE") {
		f, err := n.Float64()
		if err != nil && !math.IsInf(f, 0) { // Python reads 1e999 as inf
			return nil, err
		}
		return binary.BigEndian.AppendUint64(append(out, 'G'), math.Float64bits(f)), nil // BINFLOAT
	}
	if i, err := n.Int64(); err == nil && i == int64(int32(i)) {
		return binary.LittleEndian.AppendUint32(append(out, 'J'), uint32(i)), nil // BININT
	}
	i, ok := new(big.Int).SetString(string(n), 10)
	if !ok {
		return nil, errors.New("a result with a number that is none")
	}
	bytes := twosComplement(i)
	if len(bytes) > math.MaxInt32 {
		return nil, errors.New("a result with a number of more than 2 GiB")
	}
	out = binary.LittleEndian.AppendUint32(append(out, 0x8b), uint32(len(bytes))) // LONG4
	return append(out, bytes...), nil
}

// twosComplement is i in the fewest bytes that have its sign, the lowest byte first.
func twosComplement(i *big.Int) []byte {
	size := i.BitLen()/8 + 1
	if i.Sign() < 0 {
		i = new(big.Int).Add(i, new(big.Int).Lsh(big.NewInt(1), uint(size)*8))
	}
	bytes := i.FillBytes(make([]byte, size))
	slices.Reverse(bytes)
	return bytes
}
