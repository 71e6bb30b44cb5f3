//! Examples of the checks for services and their databases.

use super::tests::{Example, example};

pub(super) fn examples() -> Vec<Example> {
    let parts: [fn() -> Vec<Example>; 4] = [endpoints, queries, tables, migrations];
    parts.into_iter().flat_map(|part| part()).collect()
}

fn endpoints() -> Vec<Example> {
    vec![
        example(
            "endpoint-status",
            "a.py",
            "@router.post('/books')\ndef create_book(body: B) -> Book:\n    return f(body)\n\n\n@app.delete('/books/{id}')\ndef delete_book(id: int) -> None:\n    f(id)\n",
            &[1, 6],
            "@router.post('/books', status_code=201)\ndef create_book(body: B) -> Book:\n    return f(body)\n\n\n@router.post('/books/{id}/lend')\ndef lend_book(id: int) -> Book:\n    return f(id)\n\n\n@cache.delete('/x')\ndef forget() -> None:\n    pass\n",
        ),
        example(
            "endpoint-response",
            "a.py",
            "@router.get('/books')\ndef books():\n    return f()\n",
            &[2],
            "@router.get('/books')\ndef books() -> Page:\n    return f()\n\n\n@router.get('/b', response_model=Book)\nasync def book():\n    return f()\n\n\n@router.delete('/b', status_code=204)\ndef drop():\n    f()\n",
        ),
        example(
            "endpoint-path-verb",
            "a.py",
            "@router.get('/getBooks')\ndef books() -> Page:\n    return f()\n",
            &[1],
            "@router.get('/books/{id}/updates')\ndef updates() -> Page:\n    return f()\n\n\n@router.get('/deleted-books')\ndef deleted() -> Page:\n    return f()\n",
        ),
        example(
            "endpoint-path-verb",
            "a.ts",
            "router.post('/create-user', f);\n",
            &[1],
            "router.post('/users', f);\ncache.get('/getUsers');\n",
        ),
    ]
}

fn queries() -> Vec<Example> {
    vec![
        example(
            "string-built-sql",
            "a.py",
            "cursor.execute(f\"select a from b where c = {d}\")\nsql = \"delete from b where c = \" + d\nsession.execute(text(\"update b set c = %s\" % d))\nq.execute(\"insert into b values ({})\".format(d))\n",
            &[1, 2, 3, 4],
            "cursor.execute(\"select a from b where c = :d\", {\"d\": d})\nmessage = f\"cannot select {a} from {b}\"\nraise E(f\"update {a} and set {b}\")\nsql = \"select a \" + \"from b\"\n",
        ),
        example(
            "string-built-sql",
            "a.ts",
            "db.query(`select a from b where c = ${d}`);\n",
            &[1],
            "db.query('select a from b where c = $1', [d]);\nsql`select a from b where c = ${d}`;\nlog(`select ${a} from ${b}`);\n",
        ),
        example(
            "string-built-sql",
            "a.rs",
            "fn f() { sqlx::query(&format!(\"select a from b where c = {d}\")); }\n",
            &[1],
            "fn f() { sqlx::query(\"select a from b where c = $1\").bind(d); }\n",
        ),
        example(
            "query-in-loop",
            "a.py",
            "for book in books:\n    author = session.get(Author, book.author)\n    rows = self._session.execute(q)\n",
            &[2, 3],
            "for book in session.scalars(select(Book)):\n    book.get('x')\n\n\nfor _ in range(3):\n    session.execute(q)\n\n\nfor book in books:\n    def later():\n        return session.get(A, 1)\n",
        ),
        example(
            "query-in-loop",
            "a.ts",
            "for (const a of b) {\n  await prisma.user.findUnique({ where: { id: a } });\n}\n",
            &[2],
            "for (const a of await prisma.user.findMany()) {\n  f(a);\n}\n",
        ),
        example(
            "query-in-loop",
            "a.rs",
            "async fn f() {\n    for a in b {\n        query.bind(a).fetch_one(pool).await;\n    }\n}\n",
            &[3],
            "async fn f() { let all = query.fetch_all(pool).await; for a in all { g(a); } }\n",
        ),
        example("select-star", "a.py", "q = 'select * from b'\n", &[1], "q = 'select a from b'\nr = 'select *'\n"),
    ]
}

fn tables() -> Vec<Example> {
    vec![
        example(
            "model-primary-key",
            "a.py",
            "class Book(Base):\n    __tablename__ = 'books'\n    title: Mapped[str] = mapped_column(String(80))\n",
            &[1],
            "class Book(Base):\n    __tablename__ = 'books'\n    id: Mapped[int] = mapped_column(primary_key=True)\n\n\nclass Tag(Base):\n    __tablename__ = 'tags'\n    __table_args__ = (PrimaryKeyConstraint('a', 'b'),)\n\n\nclass Kept(WithId, Base):\n    __tablename__ = 'kept'\n\n\nclass Mixin:\n    pass\n",
        ),
        example(
            "column-nullability",
            "a.py",
            "class B(Base):\n    a = Column(Integer)\n    b = mapped_column(Text)\n",
            &[2, 3],
            "class B(Base):\n    id = Column(Integer, primary_key=True)\n    a = sa.Column(Integer, nullable=False)\n    b: Mapped[str | None] = mapped_column(Text)\n    c = Column(Text, **options)\n",
        ),
        example(
            "foreign-key-delete-rule",
            "a.py",
            "a = mapped_column(ForeignKey('b.id'))\n",
            &[1],
            "a = mapped_column(ForeignKey('b.id', ondelete='CASCADE'))\nb = models.ForeignKey(B, on_delete=models.CASCADE)\n",
        ),
    ]
}

fn migrations() -> Vec<Example> {
    vec![
        example(
            "migration-downgrade",
            "migrations/versions/0001_a.py",
            "def upgrade() -> None:\n    op.create_table('a')\n\n\ndef downgrade() -> None:\n    '''Take it back.'''\n    pass\n",
            &[5],
            "def upgrade() -> None:\n    op.create_table('a')\n\n\ndef downgrade() -> None:\n    raise NotImplementedError('the old values are gone')\n",
        ),
        example(
            "migration-downgrade",
            "migrations/versions/0001_a.py",
            "def upgrade() -> None:\n    op.create_table('a')\n",
            &[1],
            "def upgrade() -> None:\n    '''Nothing to do.'''\n    pass\n\n\ndef downgrade() -> None:\n    pass\n",
        ),
        example(
            "migration-downgrade",
            "migrations/1.js",
            "exports.up = (knex) => knex.schema.createTable('a');\n",
            &[1],
            "exports.up = (knex) => f(knex);\nexports.down = (knex) => g(knex);\n",
        ),
        example(
            "migration-description",
            "migrations/versions/0001_a.py",
            "down_revision = None\n",
            &[1],
            "'''Add books.'''\ndown_revision = None\n",
        ),
    ]
}
