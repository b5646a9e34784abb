"""The words of the story grammar: people, animals, places, things and how they belong together.

Separate from story_plots.py because this is the vocabulary and that is what happens.
"""

GIRLS = ("Anna Bella Clara Dora Ella Fiona Greta Hanna Ida Julia Kira Lena Mia Nora Olive Petra Rosa Sara "
         "Tilda Una Vera Willa Yara Zoe Alma Daisy Freya Ivy Lucy Molly Nina Ruby").split()
BOYS = ("Adam Ben Carl Dan Erik Finn George Hugo Ivan Jack Karl Leo Max Noah Oscar Paul Quinn Robin Sam Tom "
        "Ulf Victor Will Yuri Zack Arlo Emil Felix Henry Jonas Milo Otto").split()
ANIMAL_HEROES = ("fox rabbit bear mouse hedgehog squirrel badger otter duck frog cat dog goat pony owl "
                 "beaver mole raccoon turtle hamster").split()
SMALL_ANIMALS = "kitten puppy lamb duckling bird squirrel rabbit hedgehog turtle mouse fawn piglet".split()

TRAITS = ("kind brave shy curious clever cheerful quiet stubborn gentle lively patient careful proud "
          "dreamy honest").split()
ELDERS = [("grandmother", "f"), ("grandfather", "m"), ("aunt", "f"), ("uncle", "m"), ("mother", "f"),
          ("father", "m")]
HELPERS = [("old fisherman", "m"), ("baker", "f"), ("blacksmith", "m"), ("teacher", "f"),
           ("gardener", "m"), ("miller", "m"), ("carpenter", "f"), ("postman", "m"), ("shepherd", "m"),
           ("librarian", "f"), ("tailor", "m"), ("doctor", "f"), ("clockmaker", "m"), ("beekeeper", "f"),
           ("ferryman", "m"), ("wise old owl", "f"), ("grey heron", "m"), ("old tortoise", "m")]

HOMES = ["in a small house by the sea", "in a village between two hills", "at the edge of a deep forest",
         "in a cottage near the river", "on a farm with a red barn", "in a tall house in the old town",
         "beside a quiet lake", "in a mill with a turning wheel", "high up in the mountains",
         "on a little island", "in a valley full of apple trees", "at the end of a long road"]
# A place with the words that go before it.
PLACES = [("the market", "at"), ("the forest", "in"), ("the river", "by"), ("the old mill", "at"),
          ("the beach", "on"), ("the garden", "in"), ("the school", "at"), ("the hill", "on"),
          ("the barn", "in"), ("the library", "in"), ("the harbour", "at"), ("the meadow", "in"),
          ("the bakery", "at"), ("the stone bridge", "at"), ("the orchard", "in"), ("the pond", "by"),
          ("the tower", "in"), ("the attic", "in"), ("the park", "in"), ("the station", "at")]

COLORS = "red blue green yellow white black brown golden silver purple orange grey pink".split()
TREASURES = ("kite ball doll drum whistle ring book lantern hat scarf boat bell coin map flute umbrella "
             "necklace compass basket blanket top mirror").split()
LOOKS = "small old shiny wooden beautiful little round pretty".split()
# Where a lost thing can hide.
HIDING = ["under a bench", "behind a big stone", "under a pile of leaves", "in the tall grass",
          "beside an empty barrel", "between two roots", "on a low branch", "under a cart",
          "behind the door", "in a dry ditch"]
FOODS = ["bread", "soup", "apple pie", "honey cake", "cheese", "pancakes", "plum jam", "ginger cookies",
         "roasted nuts", "berry tart", "warm milk", "potato stew"]
WEATHER = ["sunny", "windy", "rainy", "cold", "warm", "foggy", "bright", "cloudy", "snowy", "mild"]
SEASONS = ["spring", "summer", "autumn", "winter"]
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()

# What breaks, which part, what mends it, with which tool, and what it then does again.
BROKEN = [
    ("bridge", "a plank was missing", "a strong plank", "a hammer and nails", "carried everyone across"),
    ("boat", "there was a hole in the bottom", "a patch of tar and cloth", "a brush", "floated on the water"),
    ("cart", "one wheel had cracked", "a new wheel", "a wrench", "rolled down the road"),
    ("bell", "the rope had snapped", "a long rope", "a ladder", "rang over the roofs"),
    ("roof", "three tiles had blown off", "three new tiles", "a ladder", "kept out the rain"),
    ("well", "the bucket had lost its handle", "a bent iron bar", "a pair of pliers", "gave clear water"),
    ("fence", "the wind had knocked down two posts", "two oak posts", "a heavy hammer", "stood straight"),
    ("clock", "a tiny gear was bent", "a new gear", "a fine screwdriver", "ticked and told the hour"),
    ("lamp", "the glass had shattered", "a piece of clear glass", "some putty", "shone through the night"),
    ("swing", "the seat had split in two", "a smooth board", "a saw", "flew up to the sky"),
    ("oven", "the door would not close", "a new hinge", "a screwdriver", "baked the morning bread"),
    ("gate", "the lock was full of rust", "a drop of oil", "a soft cloth", "opened without a sound"),
]
# Where an animal is caught, how that looks, and the way to free it.
TRAPS = [
    ("at the top of a tall tree", "It was too scared to climb down.", "a ladder",
     "climbed up step by step and carried the {A} down"),
    ("at the bottom of a dry well", "The walls were steep and smooth.", "a basket on a rope",
     "lowered the basket slowly until the {A} climbed in, and then pulled it up"),
    ("in the thick mud", "The more it moved, the deeper it sank.", "a long board",
     "laid the board across the mud, crawled along it and lifted the {A} out"),
    ("in a fishing net", "Its legs were tangled in the string.", "a pair of scissors",
     "cut the strings one by one until the {A} was free"),
    ("inside a hollow log", "The hole was too narrow to turn around.", "a saw",
     "sawed off the end of the log very carefully and the {A} crept out"),
    ("on a rock in the river", "The water was rising on every side.", "a small boat",
     "rowed out to the rock and took the {A} on board"),
    ("under a fallen branch", "The branch was heavy and wet.", "a strong pole",
     "pushed the pole under the branch and lifted it just enough"),
    ("behind a locked gate", "Nobody knew who had closed it.", "a big iron key",
     "turned the key twice and opened the gate"),
]
# A fear, a reason to face it, what helps, and how it goes well.
FEARS = [
    ("the dark", "the candle in the cellar went out and the baby was crying down there",
     "count the steps and hum a song", "The dark was only the same room with the light gone."),
    ("deep water", "the ball of a little boy floated away from the shore",
     "breathe slowly and kick with both legs", "The water carried {H.him} like a soft bed."),
    ("high places", "a kite was caught on the roof of the school",
     "look at the next step and never at the ground", "From the top {H.he} could see the whole valley."),
    ("thunder", "the sheep were alone on the hill in a storm",
     "count from the flash to the bang", "The storm moved further away with every count."),
    ("big dogs", "the large dog of the neighbour had a thorn in its paw",
     "stand still and let the dog smell your hand", "The dog licked {H.his} face and wagged its tail."),
    ("speaking in front of people", "somebody had to thank the guests at the harvest feast",
     "look at one friendly face and speak only to that face", "Everybody clapped for a long time."),
    ("spiders", "a spider sat on the only key to the pantry",
     "slide a sheet of paper under it and carry it outside", "The spider ran away, much more afraid than {H.he} was."),
    ("the forest at night", "the medicine for the little brother had to be fetched before morning",
     "follow the river and listen to the owls", "The owls called as if they were showing the way."),
]
# Contests: name, verb, what practice looks like, what goes wrong for the rival.
CONTESTS = [
    ("the great boat race", "row", "rowed across the bay every morning", "lost an oar in the middle of the bay"),
    ("the baking contest", "bake", "baked one cake every evening", "dropped the sugar into the sink"),
    ("the singing contest", "sing", "sang to the cows before breakfast", "lost the sheet with the words"),
    ("the kite day", "fly a kite", "ran over the hills with a paper kite", "tore the kite on a thorn bush"),
    ("the running race", "run", "ran to the mill and back each day", "fell and twisted an ankle"),
    ("the drawing contest", "draw", "drew everything from cups to clouds", "spilled water over the paper"),
    ("the sand castle contest", "build", "built towers on the beach after school", "saw a wave wash away the tower"),
    ("the spelling contest", "spell", "spelled long words on the way to school", "forgot the shortest word of all"),
]
# Strange signs, the first guess, and what it really was.
MYSTERIES = [
    ("a knocking sound came from the attic", "a ghost", "a loose shutter that moved in the wind"),
    ("a cake disappeared from the kitchen table", "a thief", "a hungry hedgehog that had come in through the cat door"),
    ("small muddy footprints led across the floor", "a goblin", "a family of ducks on their way to the pond"),
    ("a blue light blinked on the hill", "a dragon", "the lantern of a man who was counting moths"),
    ("somebody sang in the well", "a water spirit", "a frog whose voice grew large between the stones"),
    ("all the left shoes were gone", "a giant with one foot", "a puppy that was building a bed of shoes"),
    ("the flowers were watered every night", "a fairy", "the shy neighbour who could not sleep"),
    ("the piano played one note at midnight", "a sad ghost", "a mouse that ran over the keys"),
    ("a long shadow moved behind the curtain", "a wolf", "the cat, sitting in front of a candle"),
    ("the milk was drunk before sunrise", "a troll", "a calf that had learned to open the door"),
]
# Obstacles on a journey and how they are passed.
OBSTACLES = [
    ("a tree had fallen across the path", "climbed over the trunk, holding on to the branches"),
    ("the river had washed away the stones", "took off {H.his} shoes and waded through the cold water"),
    ("thick fog covered the road", "followed the old stone wall with one hand"),
    ("a goose hissed and would not let anyone pass", "threw it some crumbs and walked on quietly"),
    ("the road split in two and the sign was gone", "looked for the side where the moss grew and chose the other one"),
    ("a flock of sheep filled the whole road", "waited, sang a song and counted sheep until the last one had passed"),
    ("the wind was so strong that it was hard to walk", "bent low and walked behind the hedge"),
    ("a gate was closed and the key was missing", "found a gap in the hedge and crept through"),
    ("it began to snow and the path disappeared", "walked from one tall pole to the next"),
    ("a small boy sat crying because he was lost", "took him by the hand and brought him to his door"),
]
PLANTS = [("sunflower", "as tall as the house", "seeds for all the birds"),
          ("pumpkin", "as big as a barrel", "soup for the whole village"),
          ("apple tree", "full of red apples", "a pie for every neighbour"),
          ("rose bush", "covered with blossoms", "a bouquet for every window"),
          ("bean", "higher than the roof", "a basket of beans for the feast"),
          ("strawberry plant", "heavy with berries", "jam for the long winter")]
TRADES = ["a jar of honey", "a ball of wool", "a warm loaf", "a pair of gloves", "a basket of eggs",
          "a wooden spoon", "a bag of nuts", "a clay pot", "a bundle of candles", "a bunch of flowers"]
GIFTS = ["a soft blue shawl", "a pair of warm slippers", "a painted cup", "a music box", "a book of songs",
         "a rocking chair", "a silver thimble", "a woollen blanket"]
CRAFTS = [("a chain of shells", "picked shells on the beach", "a string"),
          ("a picture of the house", "mixed colours from berries", "a brush"),
          ("a wooden bird", "carved a piece of pine", "a small knife"),
          ("a honey cake", "stirred flour, eggs and honey", "a big bowl"),
          ("a warm cap", "knitted row after row", "two needles")]
FEELINGS_SAD = ["sad", "lonely", "worried", "upset", "disappointed"]
FEELINGS_GLAD = ["happy", "proud", "glad", "relieved", "full of joy"]
