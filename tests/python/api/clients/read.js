// Reads once with the function of docs/calling.md, which a test puts in place of the next line.
/* the function */

const { Client } = require('pg')

async function main () {
  const [tenantId, instanceId, kekId, kek] = process.argv.slice(2)
  const client = new Client() // where to: PGHOST and the like
  await client.connect()
  try {
    const found = await readCredentials(
      client, tenantId, instanceId, kekId, Buffer.from(kek, 'hex'))
    console.log(JSON.stringify(found))
  } catch (error) {
    console.log(error.code)
  }
  const { rows: [row] } = await client.query(
    "select current_setting('integrations.tenant_id', true) as tenant")
  console.log(row.tenant || 'no tenant')
  await client.end()
}

main()
