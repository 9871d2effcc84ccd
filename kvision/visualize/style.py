"""How the page looks: on screens by day and by night, and on paper."""

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1f2933; --muted: #616e7c; --line: #e4e8ec;
  --tint: #f5f7f9; --accent: #2b6cb0; --bar: #dbe7f3; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15191e; --ink: #e6eaee; --muted: #98a4b0; --line: #2c343c; --tint: #1d2329; --accent: #7fb2e5;
    --bar: #24415f; }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { max-width: 62rem; margin: 0 auto; padding: 3rem 1.5rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { margin: 0; font-size: 2rem; line-height: 1.2; letter-spacing: -0.015em; overflow-wrap: anywhere; }
header p { margin: 0.5rem 0 0; color: var(--muted); font-size: 1.0625rem; max-width: 46rem; }
h2 { margin: 0 0 1rem; font-size: 1.25rem; letter-spacing: -0.01em; }
section { padding: 1.5rem 0 0; border-top: 1px solid var(--line); margin-top: 1.5rem; }
p { max-width: 46rem; margin: 0 0 1rem; }
.headlines { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 0.75rem; padding: 0;
  margin: 2rem 0 1.5rem; list-style: none; }
.headlines li { display: flex; flex-direction: column; padding: 0.9rem 1rem; background: var(--tint);
  border-radius: 0.6rem; }
.headlines span { color: var(--muted); font-size: 0.8125rem; }
.headlines strong { font-size: 1.5rem; font-weight: 650; line-height: 1.3; letter-spacing: -0.02em;
  font-variant-numeric: tabular-nums; }
.headlines li:first-child strong { color: var(--accent); }
.headlines small { color: var(--muted); font-size: 0.78rem; line-height: 1.35; }
nav { display: flex; flex-wrap: wrap; gap: 0.25rem 1.1rem; font-size: 0.875rem; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: 0.3rem 2rem; margin: 0 0 1rem;
  font-size: 0.9375rem; }
dl div { display: grid; grid-template-columns: 8.5rem 1fr; gap: 1rem; }
dl .long { grid-column: 1 / -1; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; white-space: pre-line; }
.beside { display: flex; flex-wrap: wrap; gap: 0 3rem; align-items: center; }
.beside > div { flex: 1 1 20rem; min-width: 0; }
.beside table { min-width: 100%; }
pre { margin: 0 0 1rem; padding: 0.8rem 1rem; background: var(--tint); border-radius: 0.5rem; font-size: 0.8125rem;
  line-height: 1.5; white-space: pre-wrap; overflow-wrap: anywhere;
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
figure { margin: 0 0 1rem; }
img { display: block; max-width: 100%; height: auto; }
.photographs img { border-radius: 0.5rem; }
.scroll { overflow-x: auto; margin: 0 0 1rem; }
table { border-collapse: collapse; min-width: min(100%, 34rem); font-size: 0.9375rem;
  font-variant-numeric: tabular-nums; }
th { padding: 0 1.25rem 0.4rem 0; color: var(--muted); font-size: 0.8125rem; font-weight: 500; text-align: left; }
td { padding: 0.3rem 1.25rem 0.3rem 0; border-top: 1px solid var(--line); }
th.number, td.number { text-align: right; padding-right: 0.5rem; padding-left: 1rem; }
td.share { min-width: 7rem;
  background: linear-gradient(var(--bar), var(--bar)) 0.75rem 50% no-repeat;
  background-size: calc((100% - 0.75rem) * var(--share)) 65%; }
details { margin: 0 0 1rem; }
summary { cursor: pointer; color: var(--accent); font-size: 0.9375rem; padding: 0.2rem 0 0.6rem; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--muted);
  font-size: 0.8125rem; }
@media screen and (prefers-color-scheme: dark) {
  .chart img { filter: invert(1) hue-rotate(180deg); mix-blend-mode: screen; }
}
@media print {
  :root { --paper: #ffffff; --ink: #1f2933; --muted: #616e7c; --line: #d5dade; --tint: #f5f7f9; --accent: #2b6cb0;
    --bar: #dbe7f3; color-scheme: light; }
  body { max-width: none; padding: 0; font-size: 10.5pt; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  nav { display: none; }
  h2 { break-after: avoid; }
  figure, tr, pre, .headlines li { break-inside: avoid; }
  thead { display: table-header-group; }
}
"""
