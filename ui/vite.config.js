// Relative paths, so that the page works below any ui_content_path and behind a proxy on a sub-path.
export default { base: "./", build: { target: "es2020", assetsInlineLimit: 0, modulePreload: { polyfill: false } } };
