//! Writes tables, reads a TVIEW before and after the commit, and listens to what changes in it. Prints what it sees.

use futures_channel::mpsc;
use futures_util::{StreamExt, stream};
use serde_json::Value;
use std::time::Duration;
use tokio_postgres::{AsyncMessage, Client, NoTls};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const SCHEMA: &str = "
    CREATE EXTENSION IF NOT EXISTS pg_tviews;
    CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL);
    CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customer, amount int NOT NULL);
    CREATE INDEX ON orders (customer);
    INSERT INTO customer VALUES (1, 'Ada'), (2, 'Grace');
    INSERT INTO orders SELECT i, 1 + i % 2, i FROM generate_series(1, 10) i;
    CREATE TVIEW order_page WITH (notify) AS
        SELECT o.id, jsonb_build_object('amount', o.amount, 'customer', c.name) AS data
          FROM orders o JOIN customer c ON c.id = o.customer;
";

/// A connection whose notifications are sent to a channel.
async fn listen(url: &str) -> Result<(Client, mpsc::UnboundedReceiver<Value>)> {
    let (client, mut connection) = tokio_postgres::connect(url, NoTls).await?;
    let (send, receive) = mpsc::unbounded();
    let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
    tokio::spawn(async move {
        while let Some(Ok(message)) = messages.next().await {
            if let AsyncMessage::Notification(said) = message
                && let Ok(change) = serde_json::from_str(said.payload())
                && send.unbounded_send(change).is_err()
            {
                return;
            }
        }
    });
    client.batch_execute("LISTEN tviews").await?;
    Ok((client, receive))
}

async fn page(client: &impl tokio_postgres::GenericClient, id: i32) -> Result<Value> {
    Ok(client.query_one("SELECT data FROM order_page WHERE id = $1", &[&id]).await?.get(0))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let url = std::env::var("DATABASE_URL")?;
    let (mut client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute(SCHEMA).await?;
    let (listener, mut changes) = listen(&url).await?;
    println!("before: {}", page(&client, 1).await?);

    let transaction = client.transaction().await?;
    transaction.execute("UPDATE customer SET name = $1 WHERE id = 2", &[&"Grace Hopper"]).await?;
    println!("in the transaction: {}", page(&transaction, 1).await?);
    println!("for others: {}", page(&listener, 1).await?);
    transaction.commit().await?;
    println!("for others, committed: {}", page(&listener, 1).await?);

    let change = tokio::time::timeout(Duration::from_secs(10), changes.next()).await?.ok_or("the listener has ended")?;
    let keys = change["keys"].as_array().map_or(0, Vec::len);
    println!("heard: {} of {} rows of {}", change["op"], keys, change["tview"]);
    Ok(())
}
