package azurepg

import "strings"

func isQuote(c byte) bool { return c == '"' || c == '\'' || c == '`' }

// isPunctuation accepts what stands between the values of JSON, Go, forms and
// connection strings.
func isPunctuation(c byte) bool { return punctuation[c] }

var punctuation = func() (is [256]bool) {
	for _, c := range []byte("\"'`)]}>([{<,;:&\\") {
		is[c] = true
	}
	return is
}()

// findAnyValue finds the value at from, in quotes, in brackets, or plain.
func findAnyValue(s string, from int, sep byte) (int, int) {
	if quote := quoteOf(s, from); quote >= 0 {
		first, to := findQuoted(s, quote)
		const becomes = " -> " // what a plan of Terraform says of a change
		if next := to + 1 + len(becomes); next < len(s) && s[next] == s[quote] && s[to+1:next] == becomes {
			_, to = findQuoted(s, next)
		}
		return first, to
	}
	if strings.IndexByte("[{(", s[from]) >= 0 {
		end := bracketEnd(s, from)
		if !isOver(s, end) {
			end = plainEnd(s, end, sep)
		}
		return from, end
	}
	return from, plainEnd(s, from, sep)
}

// quoteOf returns where the first quote of the value at from stands, or -1 if the
// value is not in quotes. What languages write in front of it is passed over:
// b'x', Some("x"), (string) (len=1) "x".
func quoteOf(s string, from int) int {
	i := from
	for i < len(s) && s[i] == '(' {
		end := strings.IndexByte(s[i:min(len(s), i+64)], ')')
		if end < 0 {
			return -1
		}
		for i += end + 1; i < len(s) && isBlank(s[i]); {
			i++
		}
	}
	if n := nameLength(s[i:]); n > 0 && i+n+1 < len(s) && s[i+n] == '(' && isQuote(s[i+n+1]) {
		return i + n + 1
	}
	for n := 0; n < 2 && i < len(s) && strings.IndexByte("bBuUrRfF$@", s[i]) >= 0 && i+1 < len(s) && strings.IndexByte("bBrRfF\"'", s[i+1]) >= 0; n++ {
		i++
	}
	for i < len(s) && s[i] == '\\' {
		i++
	}
	if i == len(s) || !isQuote(s[i]) {
		return -1
	}
	return i
}

// findQuoted finds the text in quotes of which the first stands at open. What is
// glued to the last quote belongs to it, as what follows a doubled quote does; else
// the quotes stay. Without a last quote all of s is taken.
func findQuoted(s string, open int) (from, to int) {
	end := closingQuote(s, open)
	if end < 0 {
		return open, len(s)
	}
	next := end + 1
	if isOver(s, next) && !strings.HasPrefix(s[next:], s[open:open+1]) {
		return open + 1, beforeEscape(s, open, end)
	}
	for next < len(s) && s[next] == s[open] {
		end = closingQuote(s, next)
		if end < 0 {
			return open, len(s)
		}
		next = end + 1
	}
	return open, plainEnd(s, next, '=')
}

// isOver reports whether what has an end of its own is over at i: nothing is glued
// to it.
func isOver(s string, i int) bool {
	return i == len(s) || isSpace(s[i]) || strings.IndexByte("\"'`)]}>,;&\\", s[i]) >= 0
}

// beforeEscape steps back from the quote at end over the backslashes that it has
// where the first one has them, in JSON within JSON.
func beforeEscape(s string, open, end int) int {
	for i := open - 1; i >= 0 && s[i] == '\\' && end-1 > open && s[end-1] == '\\'; i-- {
		end--
	}
	return end
}

// closingQuote returns where the quote at open is closed, or -1. A quote that
// stands after n backslashes, as in JSON within JSON, is escaped by 2n+1.
func closingQuote(s string, open int) int {
	n := backslashesBefore(s, open, 0)
	for i := open + 1; i < len(s); i++ {
		if s[i] != s[open] {
			continue
		}
		k := backslashesBefore(s, i, open+1)
		if s[open] == '\'' && k > 0 && n == 0 {
			continue // printed by %q, \' becomes \\'; so any backslash counts
		}
		if k%(2*(n+1)) != 2*n+1 {
			return i
		}
	}
	return -1
}

func backslashesBefore(s string, i, limit int) int {
	n := 0
	for i-n > limit && s[i-n-1] == '\\' {
		n++
	}
	return n
}

// plainEnd returns where the value without quotes ends that s[i] belongs to: at
// white space, unless a backslash stands before it, or at punctuation that leads
// to something else.
func plainEnd(s string, i int, sep byte) int {
	for i < len(s) && !isSpace(s[i]) {
		if strings.HasPrefix(s[i:], redacted) {
			i += len(redacted)
			continue
		}
		if s[i] == '\\' && i+1 < len(s) && isBlank(s[i+1]) {
			i += 2
			continue
		}
		if !isPunctuation(s[i]) {
			i++
			continue
		}
		if endsValue(s, i, sep) {
			return i
		}
		i = punctuationEnd(s, i)
	}
	return i
}

func punctuationEnd(s string, i int) int {
	for i < len(s) && isPunctuation(s[i]) && !strings.HasPrefix(s[i:], redacted) && !(s[i] == '\\' && i+1 < len(s) && isBlank(s[i+1])) {
		i++
	}
	return i
}

// endsValue reports whether the punctuation at i ends a value: white space
// follows, the next key with the same separator, or the next string in quotes.
// Otherwise it is a part of the value: passwords hold such characters.
func endsValue(s string, i int, sep byte) bool {
	end := punctuationEnd(s, i)
	if end == len(s) || isSpace(s[end]) {
		return true
	}
	n := nameLength(s[end:])
	if n == 0 || end+n == len(s) || !strings.ContainsAny(s[i:end], "&;,") {
		return false
	}
	c, _ := decodeAt(s, end+n)
	return c == sep || end-i > 2 && (isQuote(c) || c == '\\')
}

// bracketEnd returns the end of the value in brackets that begins at i, as JSON
// and fmt print lists, maps and structs.
func bracketEnd(s string, i int) int {
	depth := 0
	for ; i < len(s); i++ {
		switch s[i] {
		case '[', '{', '(':
			depth++
		case ']', '}', ')':
			depth--
			if depth > 0 {
				continue
			}
			next := i + 1 // []string{"a"} goes on
			for next < len(s) && (isAlnum(s[next]) || strings.IndexByte("_.*[]", s[next]) >= 0) {
				next++
			}
			if next == len(s) || s[next] != '{' {
				return i + 1
			}
			i, depth = next, 1
		case '"':
			end := closingQuote(s, i)
			if end < 0 {
				return len(s)
			}
			i = end
		}
	}
	return i
}
