// Package brokertest starts the servers that task queues need beside a database, for the
// tests of examples: Debian's redis-server and rabbitmq-server, over mutual TLS, on ports
// of 127.0.0.1 that the kernel chooses. Any number may run at once. When the test process
// ends, even killed, they end too, and their files go.
package brokertest
