document.title += "ed";
