use rusqlite::{Connection, Row, ToSql, params_from_iter};

/// A query of which only those parts stand that are asked for, so that each finds its index. Its text is of this program
/// and known when it is built; values are bound.
pub(crate) struct Statement {
    sql: String,
    values: Vec<Box<dyn ToSql>>,
}

impl Statement {
    pub(crate) fn new(sql: &'static str) -> Self {
        Self { sql: sql.to_owned(), values: Vec::new() }
    }

    /// `part` has one `?` for each of `values`.
    pub(crate) fn push<const N: usize>(&mut self, part: &'static str, values: [Box<dyn ToSql>; N]) {
        self.sql.push_str(part);
        self.values.extend(values);
    }

    pub(crate) fn push_if<T, V: ToSql + 'static>(
        &mut self,
        asked: Option<T>,
        part: &'static str,
        value: impl FnOnce(T) -> V,
    ) {
        if let Some(asked) = asked {
            self.push(part, [Box::new(value(asked))]);
        }
    }

    pub(crate) fn rows<T>(
        self,
        connection: &Connection,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        connection.prepare_cached(&self.sql)?.query_map(params_from_iter(self.values), read)?.collect()
    }

    #[cfg(test)]
    pub(crate) fn plan(self, connection: &Connection) -> Vec<String> {
        let explained = Self { sql: format!("EXPLAIN QUERY PLAN {}", self.sql), values: self.values };
        explained.rows(connection, |row| row.get(3)).unwrap()
    }
}
