package azurepgtest

import "testing"

// Requests read the account that they have found without the directory's lock.
func TestAccountInHandsDoesNotChange(t *testing.T) {
	s, err := New(&Options{NoPostgres: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	app := s.AddServicePrincipal("app")
	before := s.directory.withID(app.ObjectID)
	s.Rename(app, "renamed")
	renamed := s.directory.withID(app.ObjectID)
	s.Recreate(renamed.Principal)
	if before.Name != "app" || renamed.Name != "renamed" || renamed.ObjectID != app.ObjectID {
		t.Errorf("the accounts became %q and %q", before.Name, renamed.Name)
	}
}
