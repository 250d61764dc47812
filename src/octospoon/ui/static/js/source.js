"use strict";
/* Where the data come from. The static export has another file in this place. */
var octospoon = { live: true, thumbnails: "thumbnails/" };
