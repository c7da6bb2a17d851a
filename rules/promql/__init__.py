"""PromQL with the semantics of Prometheus 3, evaluated on arrays of series.

`expression.parse` turns text into an `Expression`. The text becomes an AST (promql-parser), the AST
is checked and compiled into nodes (`compile`), and a node maps whole columns to columns: one file a
concern (`selectors`, `windows` and `rates` for range functions, `functions`, `aggregation`,
`binary`, `histogram`).

Work on labels (grouping, joining, dropping names) depends only on which series there are, not on
their values. So it is done once for a `Frame`, the label sets of a column, and remembered by the node
as long as the frame stays the same object; each further evaluation is arithmetic.
"""
