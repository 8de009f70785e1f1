// Package ent is generated from package schema, all of it but this file:
//
//	go generate ./ent/ent
package ent

//go:generate sh -c "cd ../../../tools && go build -o ../build/ent entgo.io/ent/cmd/ent"
//go:generate ../../../build/ent generate ./schema
