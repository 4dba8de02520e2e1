// Reads once with the function of docs/calling.md, which a test puts in place of the marked line.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
)

/* the function */

func main() {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, "") // where to: PGHOST and the like
	if err != nil {
		panic(err)
	}
	defer conn.Close(ctx)
	kek, _ := hex.DecodeString(os.Args[4])
	found, err := readCredentials(ctx, conn, os.Args[1], os.Args[2], os.Args[3], kek)
	var pgError *pgconn.PgError
	if errors.As(err, &pgError) {
		fmt.Println(pgError.Code)
	} else {
		fmt.Println(string(found))
	}
	tenant := "no tenant"
	err = conn.QueryRow(ctx, "select coalesce(nullif(current_setting('integrations.tenant_id', true), ''), $1)", tenant).
		Scan(&tenant)
	if err != nil {
		panic(err)
	}
	fmt.Println(tenant)
}
