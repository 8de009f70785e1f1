package pq

import (
	"database/sql"

	"github.com/azurepg/azurepg"
)

// DriverName is the name under which this package registers with database/sql.
const DriverName = "azurepg-pq"

func init() { sql.Register(DriverName, azurepg.NewDriver(Base)) }
