import { defineConfig } from "vite";

// Everything is built into few files with hashed names, from this host alone: the server's policy forbids inline
// scripts and styles, so nothing is inlined, not even a small asset as a data URL.
export default defineConfig({
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: { "/v1": "http://127.0.0.1:8099" } },
});
