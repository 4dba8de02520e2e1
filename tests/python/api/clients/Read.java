import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.HexFormat;
import java.util.Properties;
import java.util.UUID;

/** Reads once with the function of docs/calling.md, which a test puts in place of the marked line. */
class Read {
  /* the function */

  public static void main(String[] arguments) throws SQLException {
    var environment = System.getenv();
    var login = new Properties();
    login.setProperty("user", environment.get("PGUSER"));
    login.setProperty("password", environment.get("PGPASSWORD"));
    login.setProperty("sslmode", environment.get("PGSSLMODE"));
    var url = "jdbc:postgresql://" + environment.get("PGHOST") + ":" + environment.get("PGPORT")
        + "/" + environment.get("PGDATABASE");
    try (Connection connection = DriverManager.getConnection(url, login)) {
      connection.setAutoCommit(false);
      try {
        System.out.println(readCredentials(
            connection, UUID.fromString(arguments[0]), UUID.fromString(arguments[1]),
            arguments[2], HexFormat.of().parseHex(arguments[3])));
      } catch (SQLException error) {
        System.out.println(error.getSQLState());
      }
      try (var statement = connection.prepareStatement(
          "select coalesce(nullif(current_setting('integrations.tenant_id', true), ''), ?)")) {
        statement.setString(1, "no tenant");
        ResultSet answer = statement.executeQuery();
        answer.next();
        System.out.println(answer.getString(1));
      }
    }
  }
}
