// Relative paths, so that the page works below any ui_content_path and behind a proxy on a sub-path (src/http/ui.c fills in
// where that is). Nothing is inlined: the content policy allows no data of scripts and styles.
export default { base: "./", build: { target: "es2020", assetsInlineLimit: 0, modulePreload: { polyfill: false }, reportCompressedSize: true } };
