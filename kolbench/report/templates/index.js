// The page of reports begins.
makeTheme();
