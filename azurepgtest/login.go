package azurepgtest

import (
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// A refusal is a login that the server does not allow.
type refusal struct {
	code    string // SQLSTATE; "" is that of SetRefusal
	message string // what Azure says, as far as that is known
	reason  string // what is the matter
}

func (r *refusal) Error() string { return r.reason }

// login takes client from its startup packet to the end of its session, and calls
// loggedIn between. It returns an error if there was no session, after having told the
// client.
func (p *Postgres) login(client net.Conn, startup *pgproto3.StartupMessage, loggedIn func() bool) error {
	session, err := p.authenticate(client, startup)
	if err != nil {
		send(client, p.refuse(err))
		return err
	}
	client.SetDeadline(time.Time{})
	loggedIn()
	p.enter(session)
	defer p.leave(session)
	stop := closeOnDone(p.running, session.conn)
	defer stop()
	if _, err := client.Write(session.welcome); err != nil {
		session.conn.Close()
		return nil
	}
	splice(client, session.conn)
	return nil
}

// authenticate asks for the token, checks it, and opens the session, or leaves all that
// to the real server if the role has a password.
func (p *Postgres) authenticate(client net.Conn, startup *pgproto3.StartupMessage) (*session, error) {
	user, database := startup.Parameters["user"], startup.Parameters["database"]
	if database == "" {
		database = user
	}
	_, secured := client.(*tls.Conn)
	if !secured || p.isRejecting() {
		return nil, noEntry(user, database, secured)
	}
	if p.roles.hasPassword(user) {
		return p.passThrough(client, startup)
	}
	if err := send(client, &pgproto3.AuthenticationCleartextPassword{}); err != nil {
		return nil, err
	}
	token, err := readPassword(client)
	if errors.Is(err, errPasswordTooLong) {
		return nil, &refusal{"08P01", "invalid message length", "password longer than 65535 bytes"}
	}
	if err != nil {
		return nil, err
	}
	if err := p.check(token, user); err != nil {
		return nil, err
	}
	if err := p.reserve(); err != nil {
		return nil, err
	}
	conn, err := p.backend.open(p.running, user, database, startup.Parameters)
	if err != nil {
		p.release()
		return nil, err
	}
	return &session{conn.Conn, conn.PID, packets(welcome(startup, conn)...)}, nil
}

// noEntry is PostgreSQL's own text for a login that no line of pg_hba.conf allows.
func noEntry(user, database string, secured bool) *refusal {
	r := &refusal{code: "28000", reason: "rejected before the password was asked for"}
	encryption := "SSL encryption"
	if !secured {
		encryption = "no encryption"
		r.reason = "plaintext"
	}
	r.message = `no pg_hba.conf entry for host "127.0.0.1", user "` + user + `", database "` + database + `", ` + encryption
	return r
}

// check returns nil if token lets its bearer log in as role.
func (p *Postgres) check(token, role string) error {
	t, err := p.verified(token)
	if err != nil {
		return err
	}
	mapped := p.roles.owner(role)
	if mapped == nil {
		return denied(role, "no such role, or it is no principal's")
	}
	oid := t.text("oid")
	isApp := t.text("idtyp") == "app"
	switch {
	case mapped.Kind == Group:
		if !p.directory.isMember(oid, mapped) {
			return denied(role, "not a member of the group")
		}
	case mapped.Kind == User && isApp:
		return p.refusal(becauseAppForUser, "{role}", role)
	case mapped.Kind != User && !isApp:
		return p.refusal(becauseUserForApp, "{role}", role)
	case oid != mapped.ObjectID && isApp:
		return p.refusal(becauseOtherApp, "{role}", role,
			"{label}", mapped.ObjectID, "{appid}", t.text("appid"), "{oid}", oid)
	case oid != mapped.ObjectID:
		return denied(role, "token of another user")
	}
	return nil
}

// verified returns the token if it is one that this server trusts.
func (p *Postgres) verified(token string) (*jwt, error) {
	t, err := parseJWT(token)
	if err != nil {
		return nil, p.refusal(becauseNoToken)
	}
	if key := p.entra.currentKey(); t.header.Algorithm != "RS256" || t.header.KeyID != key.id || t.verify(&key.PublicKey) != nil {
		return nil, p.refusal(becauseSignature)
	}
	now, audiences := p.entra.clock.now(), p.cloud.audiences()
	expires, _ := t.time("exp")
	begins, _ := t.time("nbf")
	switch {
	case !now.Before(expires):
		return nil, p.refusal(becauseExpired)
	case now.Before(begins):
		return nil, p.refusal(becauseNotYetValid)
	case !slices.Contains(audiences, t.text("aud")):
		return nil, p.refusal(becauseAudience, "{audience}", audiences[0])
	case t.text("tid") != p.entra.TenantID || t.text("iss") != issuer(p.entra.TenantID):
		return nil, p.refusal(becauseTenant)
	case p.entra.isRevoked(token):
		return nil, p.refusal(becauseRevoked)
	}
	return t, nil
}

// denied is PostgreSQL's own text for a wrong password.
func denied(role, reason string) *refusal {
	return &refusal{"", `password authentication failed for user "` + role + `"`, reason}
}

// refuse counts a refusal and returns the message for the client. The real server's own
// errors, for instance of a database that is missing, are passed on. Other errors are a
// client that hung up, which nobody refused.
func (p *Postgres) refuse(err error) *pgproto3.ErrorResponse {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := (*refusal)(nil); errors.As(err, &r) {
		p.refusals++
		p.lastRefusal = r.reason
		switch {
		case r.code != "":
			return fatal(r.code, r.message)
		case p.refusalCode == pgBouncersRefusal:
			return fatal(p.refusalCode, "password authentication failed")
		}
		return fatal(p.refusalCode, r.message)
	}
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		p.refusals++
		p.lastRefusal = pg.Message
		response := fatal(pg.Code, pg.Message)
		response.Detail, response.Hint = pg.Detail, pg.Hint
		return response
	}
	return fatal("08006", "connection failure: "+err.Error()) // the front's own way to the real server
}

func (p *Postgres) isRejecting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rejected
}
