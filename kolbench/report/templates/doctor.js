"use strict";

// theme.js stands before it
document.documentElement.classList.add("script");
makeTheme();
